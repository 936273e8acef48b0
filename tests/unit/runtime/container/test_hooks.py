"""The operator's hooks: which files count, which containers they are for, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from runtime.container import hooks
from runtime.container.hooks import Subject, joined, keep_aside, matching, parse
from runtime.container.port import EngineError

pytestmark = pytest.mark.unit

FILE = {"version": "1.0.0", "hook": {"path": "/bin/true"}, "when": {"always": True}, "stages": ["prestart"]}


@pytest.mark.parametrize(
    ("when", "subject", "holds"),
    [
        ({"always": True}, Subject(command="/bin/x"), True),
        ({"always": False}, Subject(command="/bin/x"), False),
        ({"commands": ["/x$"]}, Subject(command="/bin/x"), True),
        ({"commands": ["/y$", "/z$"]}, Subject(command="/bin/x"), False),
        ({"hasBindMounts": True}, Subject(command="/bin/x"), False),
        ({"hasBindMounts": True}, Subject(command="/bin/x", binds=True), True),
        ({"annotations": {"^a$": "^1"}}, Subject(command="x", annotations={"a": "12"}), True),
        ({"annotations": {"^a$": "^1", "^b$": "."}}, Subject(command="x", annotations={"a": "12"}), False),
        ({"always": True, "commands": ["/y$"]}, Subject(command="/bin/x"), False),
    ],
)
def test_all_conditions_must_hold(when: dict[str, object], subject: Subject, holds: bool) -> None:
    found = matching([parse(FILE | {"when": when})], subject)
    assert found == ({"prestart": [{"path": "/bin/true"}]} if holds else {})


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": "0.1.0"}, "version"),
        ({"stages": []}, "stages"),
        ({"stages": ["never"]}, "never"),
        ({"when": {}}, "when"),
        ({"when": {"sometimes": True}}, "when"),
        ({"hook": {"path": "true"}}, "not absolute"),
        ({"hook": {"path": "/bin/true", "shell": True}}, "nothing else"),
    ],
)
def test_a_file_that_cannot_be_used_says_why(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        parse(FILE | change)


def test_files_go_by_name_and_later_directories_win(tmp_path: Path) -> None:
    for folder, stage in (("a", "prestart"), ("b", "poststop")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "10-one.json").write_text(json.dumps(FILE | {"stages": [stage]}))
    (tmp_path / "a" / "05-two.json").write_text(json.dumps(FILE | {"hook": {"path": "/bin/false"}}))
    loaded = hooks.load((tmp_path / "a", tmp_path / "b", tmp_path / "none"))
    assert [(one.hook["path"], one.stages) for one in loaded] == [
        ("/bin/false", ("prestart",)),
        ("/bin/true", ("poststop",)),
    ]
    (tmp_path / "a" / "07-three.json").write_text("[]")
    with pytest.raises(EngineError, match=r"07-three\.json cannot be used"):
        hooks.load((tmp_path / "a",))


def test_the_hosts_come_before_the_bundles() -> None:
    first, second = (
        {"prestart": [{"path": "/1"}]},
        {"prestart": [{"path": "/2"}], "poststop": [{"path": "/3"}]},
    )
    assert joined(first, second) == {
        "prestart": [{"path": "/1"}, {"path": "/2"}],
        "poststop": [{"path": "/3"}],
    }
    assert joined({}, {}) == {}


def test_those_of_start_and_end_are_kept_aside(tmp_path: Path) -> None:
    aside = {"poststart": [{"path": "/2"}], "poststop": [{"path": "/3"}]}
    document = {"root": {}, "hooks": {"prestart": [{"path": "/1"}]} | aside}
    assert keep_aside(tmp_path, document) == {"root": {}, "hooks": {"prestart": [{"path": "/1"}]}}
    assert json.loads((tmp_path / "poststop.json").read_text()) == [{"path": "/3"}]
    assert keep_aside(tmp_path, {"root": {}, "hooks": aside}) == {"root": {}}


def test_a_failing_one_at_the_end_stops_no_other_and_each_runs_once(tmp_path: Path) -> None:
    write = {"path": "/bin/sh", "args": ["sh", "-c", f"cat >>{tmp_path}/state"]}
    failing = [{"path": "/bin/false"}, {"path": "/no/such/hook"}, write]
    keep_aside(tmp_path, {"hooks": {"poststop": failing}})
    hooks.run_ended(tmp_path, tmp_path, "c1")
    hooks.run_ended(tmp_path, tmp_path, "c1")
    state = json.loads((tmp_path / "state").read_text())
    assert (state["id"], state["status"], state["bundle"]) == ("c1", "stopped", str(tmp_path))
