"""Names of buildpacks, what bin/release prints, and what the programs of a buildpack see."""

from __future__ import annotations

import pytest

from paas.slugbuilder.heroku.compiling import joined
from paas.slugbuilder.heroku.references import Source, parse_list, parse_reference, parse_schemes
from paas.slugbuilder.heroku.release_yaml import Release, parse_release
from paas.slugbuilder.heroku.variables import clean_environment, config_of
from paas.slugbuilder.workspace import Compiled

pytestmark = pytest.mark.unit

HTTPS = ("https",)


@pytest.mark.parametrize(
    ("given", "text", "source", "place", "ref"),
    [
        ("heroku/python", "heroku/python", Source.BUILT_IN, "python", ""),
        ("urn:buildpack:heroku/nodejs", "heroku/nodejs", Source.BUILT_IN, "node", ""),
        (
            "https://buildpack-registry.s3.amazonaws.com/buildpacks/heroku/python.tgz",
            "heroku/python",
            Source.BUILT_IN,
            "python",
            "",
        ),
        (" ./buildpacks//mine/ ", "./buildpacks/mine", Source.FOLDER, "buildpacks/mine", ""),
        ("https://h/x.git#v1.2", "https://h/x.git#v1.2", Source.GIT, "https://h/x.git", "v1.2"),
        ("https://h/x", "https://h/x", Source.GIT, "https://h/x", ""),
        ("https://h/x.tar.gz", "https://h/x.tar.gz", Source.ARCHIVE, "https://h/x.tar.gz", ""),
    ],
)
def test_what_names_a_buildpack(given: str, text: str, source: Source, place: str, ref: str) -> None:
    found = parse_reference(given, HTTPS)
    assert (found.text, found.source, found.place, found.ref) == (text, source, place, ref)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("", "printable"),
        ("heroku/cobol", "heroku/python, heroku/nodejs"),
        ("./../other", "inside the repository"),
        ("./", "inside the repository"),
        ("http://h/x.git", "https only"),
        ("file:///x", "https only"),
        ("ssh://h/x", "https only"),
        ("https://me:secret@h/x.git", "no user or password"),
        ("https:///x.git", "no host"),
        ("https://h/x.git#--upload-pack=x", "no branch"),
        ("https://h/x.tgz#v1", "archive"),
    ],
)
def test_what_names_none(given: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_reference(given, HTTPS)
    assert words in str(refused.value)
    assert "secret" not in str(refused.value)


def test_schemes_and_lists() -> None:
    assert parse_schemes("https, file") == ("https", "file")
    for text in ("", "ftp"):
        with pytest.raises(ValueError, match="https, http, file"):
            parse_schemes(text)
    assert parse_list("\ufeff# first\r\nheroku/nodejs\r\n\r\n  ./mine \n") == ["heroku/nodejs", "./mine"]


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", Release()),
        ("--- {}\n", Release()),
        ("---\naddons: []\nconfig_vars: {}\ndefault_process_types: {}\n", Release()),
        (
            "---\naddons:\n- heroku-postgresql:mini\nconfig_vars:\n  A: 'it''s'\n  \"B\": \"x\\ty\" # why\n"
            "default_process_types:\n    web: bin/web -p $PORT # listens\n    worker: 'a: b'\n",
            Release(
                {"web": "bin/web -p $PORT", "worker": "a: b"},
                {"A": "it's", "B": "x\ty"},
                ("heroku-postgresql:mini",),
            ),
        ),
        ('{"default_process_types": {"web": "run"}}', Release({"web": "run"})),
    ],
)
def test_what_bin_release_prints(text: str, wanted: Release) -> None:
    assert parse_release(text) == wanted


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("default_process_types:\n  web: |\n    run\n", "line 2"),
        ("default_process_types: {web: run}\n", "below it"),
        ("default_process_types:\n  web: &a run\n", "quotes"),
        ("default_process_types:\n  web: a: b\n", "colon"),
        ("default_process_types:\n  web: 'run\n", "does not end"),
        ("default_process_types:\n- web\n", "no mapping"),
        ("  web: run\n", "below nothing"),
        ("Hello\n", "`name: value`"),
        ("[1]", "line 1"),
    ],
)
def test_what_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(ValueError, match=r".") as refused:
        parse_release(text)
    assert words in str(refused.value)


def test_environments() -> None:
    given = {
        "PATH": "/x",
        "LD_PRELOAD": "x.so",
        "STACK": "s",
        "HOME": "/app",
        "KEY": "v",
        "BASH_FUNC_x%%": "",
    }
    assert config_of(given) == {"KEY": "v"}
    clean = clean_environment({**given, "SSL_CERT_FILE": "/ca"}, "debian-12")
    assert (clean["STACK"], clean["HOME"], clean["SSL_CERT_FILE"]) == ("heroku-22", "/app", "/ca")
    assert "KEY" not in clean and "/x" not in clean["PATH"]
    assert [clean_environment({}, name)["STACK"] for name in ("debian-13", "host")] == ["heroku-24"] * 2


def test_two_together_have_the_last_ones_processes_and_the_folders_of_both() -> None:
    first = Compiled(
        "1", {"web": "a"}, {"PATH": "/app/a:/usr/bin:/bin", "A": "1"}, python="3", dependencies=("a",)
    )
    last = Compiled("2", {"job": "b"}, {"PATH": "/app/b:/usr/bin:/bin"}, node="20", dependencies=("b",))
    both = joined(first, last)
    assert (both.processes, both.python, both.node) == ({"job": "b"}, "3", "20")
    assert both.env == {"PATH": "/app/b:/app/a:/usr/bin:/bin", "A": "1"}
    assert both.dependencies == ("a", "b")
