"""process.json of a further process: the container's own, but for what was asked for."""

from __future__ import annotations

import json

import pytest

from runtime.container.execs import check, render
from runtime.container.port import EngineError
from runtime.model import ExecSpec

pytestmark = pytest.mark.unit

PROCESS = {
    "terminal": False,
    "user": {"uid": 1000, "gid": 1000},
    "args": ["/dev/init", "--", "web"],
    "env": ["PATH=/bin", "A=1", "B=x=y"],
    "cwd": "/app",
    "capabilities": {"bounding": []},
    "noNewPrivileges": True,
}
CONFIG = json.dumps({"process": PROCESS, "linux": {}}).encode()


def test_the_sandbox_and_the_environment_are_the_container_s() -> None:
    assert render(ExecSpec(argv=("sh",)), CONFIG) == PROCESS | {"args": ["sh"]}


def test_what_was_asked_for_wins() -> None:
    spec = ExecSpec(argv=("sh",), env={"A": "2", "TERM": "xterm"}, cwd="/tmp", tty=True, rows=24, columns=80)
    document = render(spec, CONFIG)
    assert document["env"] == ["PATH=/bin", "B=x=y", "A=2", "TERM=xterm"]
    assert document["cwd"] == "/tmp"
    assert document["terminal"] is True
    assert document["consoleSize"] == {"height": 24, "width": 80}
    assert document["user"] == PROCESS["user"]


@pytest.mark.parametrize(
    "spec",
    [
        ExecSpec(argv=()),
        ExecSpec(argv=("a\0b",)),
        ExecSpec(argv=("a",), cwd="tmp"),
        ExecSpec(argv=("a",), env={"A=B": "c"}),
        ExecSpec(argv=("a",), env={"A": "b\0c"}),
    ],
)
def test_nonsense_is_refused(spec: ExecSpec) -> None:
    with pytest.raises(EngineError):
        check(spec)
