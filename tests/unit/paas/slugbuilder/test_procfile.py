"""Every shape of a Procfile that people commit, and the ones that are refused with their line."""

import pytest

from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.procfile import parse_procfile

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"web: gunicorn app:app\n", {"web": "gunicorn app:app"}),
        (b"web: a\r\nworker: b\r\n", {"web": "a", "worker": "b"}),
        (b"\xef\xbb\xbfweb: a", {"web": "a"}),
        (b"# a comment\n\n   \nweb: a # not a comment\n", {"web": "a # not a comment"}),
        (b"web:a\n", {"web": "a"}),
        (b"  web  :   a b  \n", {"web": "a b"}),
        (b"release: x: y\n", {"release": "x: y"}),
        (b"web: a\rworker: b", {"web": "a", "worker": "b"}),
        (b"my_type-2: a\n", {"my_type-2": "a"}),
        ("web: é \U0001f600\n".encode(), {"web": "é \U0001f600"}),
        (b"", {}),
        (b"# nothing\n", {}),
    ],
)
def test_reads(data, expected):
    assert parse_procfile(data) == expected


def test_keeps_the_order_of_the_file():
    assert list(parse_procfile(b"b: 1\na: 2\nc: 3\n")) == ["b", "a", "c"]


@pytest.mark.parametrize(
    ("data", "error_id", "words"),
    [
        (
            b"<<<<<<< HEAD\nweb: a\n=======\nweb: b\n>>>>>>> x\n",
            "procfile_conflict",
            "line 1: merge conflict marker '<<<<<<<'",
        ),
        (b"web: a\n=======\nworker: b\n", "procfile_conflict", "line 2"),
        (b"web: a\n>>>>>>> branch\n", "procfile_conflict", "line 2"),
        (
            b"web: a\n\nweb: b\n",
            "procfile_duplicate",
            "line 3: process type 'web' is already defined in line 1",
        ),
        (b"web gunicorn\n", "procfile_invalid", "line 1 has no colon"),
        (b"my type: a\n", "procfile_invalid", "'my type' is no valid process type"),
        (b"web.1: a\n", "procfile_invalid", "'web.1'"),
        (b": a\n", "procfile_invalid", "line 1"),
        (b"web:\n", "procfile_invalid", "'web' has no command"),
        (b"web: a\0b\n", "procfile_invalid", "NUL"),
        (b"web: \xff\xfe\n", "procfile_invalid", "not UTF-8"),
    ],
)
def test_refuses_and_names_the_line(data, error_id, words):
    with pytest.raises(BuildError) as caught:
        parse_procfile(data)
    assert caught.value.id == error_id
    assert words in caught.value.message
    assert caught.value.hint
