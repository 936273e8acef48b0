"""Editing ~/.netrc."""

from __future__ import annotations

import netrc as reference
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from paas.cli.netrc import entries, password_of, with_machine, without_machine

pytestmark = pytest.mark.unit

OTHERS = """# mine
machine a.test login me password "a machine b"
macdef init
machine fake.test login x password y

machine b.test
    login you
    password  secret
    account z
default login anonymous password guest
"""


def test_entries_are_found_between_comments_and_macros() -> None:
    assert [(one.machine, one.password) for one in entries(OTHERS)] == [
        ("a.test", "a machine b"),
        ("b.test", "secret"),
        (None, "guest"),
    ]


def test_a_new_entry_comes_before_default_and_the_rest_stays() -> None:
    text = with_machine(OTHERS, "c.test", "paas", "token")
    assert text.endswith(OTHERS)
    assert password_of(text, "c.test") == "token"
    assert without_machine(text, "c.test") == OTHERS


def test_an_old_entry_is_replaced_where_it_is() -> None:
    text = with_machine(OTHERS, "b.test", "paas", "token")
    assert text == OTHERS.replace(
        "machine b.test\n    login you\n    password  secret\n    account z",
        "machine b.test\n  login paas\n  password token",
    )


def test_names_are_whole_words() -> None:
    assert password_of(with_machine(OTHERS, "test", "paas", "token"), "b.test") == "secret"


WORD = st.text(st.characters(codec="ascii", categories=("L", "N")), min_size=1, max_size=8).filter(
    lambda word: word not in {"machine", "default", "login", "password", "account", "user", "macdef"}
)


@given(st.dictionaries(WORD, st.tuples(WORD, WORD), max_size=5), WORD, WORD)
def test_other_programs_read_the_result(
    tmp_path_factory: pytest.TempPathFactory, kept: dict, name: str, token: str
) -> None:
    text = "".join(f"machine {one} login {login} password {word}\n" for one, (login, word) in kept.items())
    file = Path(tmp_path_factory.mktemp("netrc")) / "netrc"
    file.write_text(with_machine(text, name, "paas", token))
    read = reference.netrc(str(file)).hosts
    assert read.pop(name) == ("paas", "", token)
    assert read == {one: (login, "", word) for one, (login, word) in kept.items() if one != name}
