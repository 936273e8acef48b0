"""Which Python and Node an app asks for, and whether a stack's fits."""

import pytest

from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.node_version import is_exact, parse_version, satisfies
from paas.slugbuilder.python_version import (
    Wanted,
    parse_python_version,
    parse_runtime_txt,
    unsupported,
    version_fits,
)

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("3.13\n", "3.13"),
        ("3.13.5", "3.13.5"),
        ("# why\n\n3.12 # because\r\n", "3.12"),
        ("cpython-3.13", "3.13"),
        ("python-3.13.1", "3.13.1"),
    ],
)
def test_python_version_is_read(text, version):
    assert parse_python_version(text) == Wanted(version, ".python-version")


def test_an_empty_python_version_asks_for_nothing():
    assert parse_python_version("# none\n") is None


@pytest.mark.parametrize("text", ["pypy3.10", "2.7", "3", "latest", "3.13.x", "system"])
def test_python_version_refuses(text):
    with pytest.raises(BuildError) as caught:
        parse_python_version(text)
    assert caught.value.id == "python_version_invalid"


def test_two_versions_are_refused():
    with pytest.raises(BuildError, match="names 2 versions"):
        parse_python_version("3.12\n3.13\n")


def test_runtime_txt():
    assert parse_runtime_txt("python-3.13.5\n") == Wanted("3.13.5", "runtime.txt")
    with pytest.raises(BuildError) as caught:
        parse_runtime_txt("3.13")
    assert caught.value.hint == "Write one like python-3.13."


def test_minor_decides_and_patch_is_the_stacks():
    assert version_fits("3.13", "3.13.5")
    assert version_fits("3.13.1", "3.13.5")
    assert not version_fits("3.9", "3.13.5")
    assert not version_fits("3.1", "3.13.5")


def test_unsupported_says_both_versions_and_the_way_out():
    error = unsupported(Wanted("3.9", ".python-version"), "debian-13", "3.13.5")
    assert error.message == ".python-version asks for Python 3.9, stack debian-13 has 3.13.5."
    assert "Write 3.13 into .python-version" in error.hint


NODE = (20, 19, 2)


@pytest.mark.parametrize(
    "range_",
    [
        "*", "", "x", "20", "20.x", "20.19", "20.19.x", "20.19.2", "v20.19.2", "=20.19.2", "^20", "^20.1.0", "~20.19.0",
        "~20", ">=18", ">= 18.0.0", ">=18 <21", ">18", "<21", "<=20", "<=20.x", "18 || 20", "18.x || 20.x || 22.x",
        "18 - 20", "18.0.0 - 20.19.2", ">=18.0.0 <22", "~>20.19", "20 || >=22", ">=20.19.2",
    ],
)  # fmt: skip
def test_node_range_fits(range_):
    assert satisfies(NODE, range_)


@pytest.mark.parametrize(
    "range_",
    [
        "18", "22.x", ">=22", "^18", "~20.18", "<20", ">20", "<=20.18", ">=18 <20", "18 || 22", "16 - 18", "20.19.1",
        "^20.20", ">20.19", "~20.19.3", "0.10.x",
    ],
)  # fmt: skip
def test_node_range_does_not_fit(range_):
    assert not satisfies(NODE, range_)


@pytest.mark.parametrize("range_", ["lts/*", "latest", "20.x.y.z", "banana || 20", ">=", "20 banana"])
def test_no_range(range_):
    with pytest.raises(ValueError, match="is no version range"):
        satisfies(NODE, range_)


@pytest.mark.parametrize(
    ("range_", "inside", "outside"),
    [
        ("^0.2.3", (0, 2, 9), (0, 3, 0)),
        ("^0.0.3", (0, 0, 3), (0, 0, 4)),
        ("^0", (0, 9, 0), (1, 0, 0)),
        ("^0.0", (0, 0, 9), (0, 1, 0)),
    ],
)
def test_caret_below_one(range_, inside, outside):
    assert satisfies(inside, range_)
    assert not satisfies(outside, range_)


def test_exact():
    assert is_exact("20.11.0")
    assert is_exact("v20.11.0")
    assert not is_exact("20.11")
    assert not is_exact("^20.11.0")
    assert parse_version("v20.19.2\n") == NODE
