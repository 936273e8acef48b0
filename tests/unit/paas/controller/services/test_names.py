"""What can name an app, a config var, a process; and what an environment can carry."""

from __future__ import annotations

import pytest

from paas.controller.services.apps import check_name, make_name
from paas.controller.services.config import describe
from paas.controller.services.variables import check_variable
from paas.controller.texts import storable, stored_exit
from paas.errors import InvalidParams
from runtime.model import ExitInfo, ExitReason

pytestmark = pytest.mark.unit


@pytest.mark.parametrize("name", ["abc", "a1b", "my-app-2", "a" * 30, "a-1-b"])
def test_names_that_an_app_can_have(name: str) -> None:
    assert check_name(name) == name


@pytest.mark.parametrize(
    "name",
    [
        "",
        "ab",
        "a" * 31,
        "1ab",
        "-ab",
        "ab-",
        "a--b",
        "Shop",
        "sh op",
        "shöp",
        "a.b",
        "a_b",
        "../x",
        "abc\n",
        "a\0b",
    ],
)
def test_names_that_no_app_can_have(name: str) -> None:
    with pytest.raises(InvalidParams, match="cannot be an app's name"):
        check_name(name)


@pytest.mark.parametrize("name", ["api", "git", "www", "localhost"])
def test_names_of_the_platform(name: str) -> None:
    with pytest.raises(InvalidParams, match="reserved"):
        check_name(name)


def test_made_names_can_be_had() -> None:
    assert all(check_name(make_name()) for _ in range(200))


@pytest.mark.parametrize("name", ["A", "a", "_", "A1_b", "LONG" * 50])
def test_variables(name: str) -> None:
    check_variable(name, "any\ntext ☃")
    check_variable(name, None)


@pytest.mark.parametrize("name", ["", "1A", "A-B", "A B", "A=B", "Ä", "A\n", "A\0", "a.b"])
def test_what_cannot_name_a_variable(name: str) -> None:
    with pytest.raises(InvalidParams, match="cannot name"):
        check_variable(name, "x")


@pytest.mark.parametrize("name", ["PORT", "DYNO", "PS", "HOME", "LD_PRELOAD"])
def test_variables_of_the_platform(name: str) -> None:
    with pytest.raises(InvalidParams, match=f"{name} is set by the platform"):
        check_variable(name, "x")


@pytest.mark.parametrize("value", ["a\0b", "\ud800", 5, ["a"], {"a": 1}, True])
def test_what_no_environment_carries(value: object) -> None:
    with pytest.raises(InvalidParams, match="KEY"):
        check_variable("KEY", value)  # type: ignore[arg-type]


def test_a_change_is_described_by_names_alone() -> None:
    before, after = {"A": "1", "B": "s3cret", "C": "3"}, {"A": "2", "C": "3", "D": "s3cret"}
    assert describe(before, after) == "Set A, D config vars and Remove B config vars"


def test_text_that_every_database_takes() -> None:
    assert storable("a\0b\ud800 ☃ 𝄞\n") == "a\N{REPLACEMENT CHARACTER}b? ☃ 𝄞\n"


def test_an_end_compares_as_equal_to_what_a_column_gives_back() -> None:
    info = ExitInfo(reason=ExitReason.EXITED, code=1, at=1.5, message="no\0", tail=("a", "b\0"))
    stored = stored_exit(info)
    assert stored["tail"] == ["a", "b\N{REPLACEMENT CHARACTER}"]
    assert stored["reason"] == "exited"
    assert stored_exit(None) is None
