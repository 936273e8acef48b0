"""CNI: what a network's file says, and in which order and with what its plugins are run."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from runtime.container.port import EngineError
from runtime.network.cni import chain, conf
from runtime.network.cni.attachments import Attachments
from runtime.network.cni.chain import Attachment

pytestmark = pytest.mark.unit

NETWORK = {
    "cniVersion": "1.0.0",
    "name": "net",
    "plugins": [{"type": "first"}, {"type": "second", "mode": 1}],
}
# Writes down what it was told; answers ADD with who has answered so far. `second` refuses what the file `refuse` names.
PLUGIN = """#!/usr/bin/python3
import json, os, sys
told = json.load(sys.stdin)
here, me, command = os.environ["CNI_PATH"], os.path.basename(sys.argv[0]), os.environ["CNI_COMMAND"]
with open(here + "/log", "a") as log:
    seen = (told.get("prevResult") or {}).get("by")
    print(json.dumps([command, me, seen, os.environ["CNI_NETNS"], told.get("mode")]), file=log)
if os.path.exists(here + "/refuse") and open(here + "/refuse").read() == command + " " + me:
    print(json.dumps({"code": 11, "msg": "no room", "details": "try later"}))
    sys.exit(1)
if command == "ADD":
    by = ((told.get("prevResult") or {}).get("by") or []) + [me]
    print(json.dumps({"cniVersion": told["cniVersion"], "by": by, "ips": [{"address": "10.9.8.7/24"}]}))
"""


@pytest.fixture
def attachment(tmp_path: Path) -> Attachment:
    for name in ("first", "second"):
        (tmp_path / name).write_text(PLUGIN)
        (tmp_path / name).chmod(0o755)
    return Attachment(
        number=3, container="c1", netns="/proc/self/ns/net", chain=conf.parse(NETWORK), plugins=str(tmp_path)
    )


def log(attachment: Attachment) -> list[list[Any]]:
    return [json.loads(line) for line in Path(attachment.plugins, "log").read_text().splitlines()]


def with_result(attachment: Attachment, result: dict[str, Any]) -> Attachment:
    import msgspec

    return msgspec.structs.replace(attachment, result=result)


def test_add_goes_in_order_and_del_in_reverse_with_the_result(attachment: Attachment) -> None:
    result = chain.add(attachment)
    assert result["by"] == ["first", "second"]
    assert chain.address_of(result) == "10.9.8.7"
    chain.check(with_result(attachment, result))
    chain.delete(with_result(attachment, result))
    here, both = "/proc/self/ns/net", ["first", "second"]
    assert log(attachment) == [
        ["ADD", "first", None, here, None],
        ["ADD", "second", ["first"], here, 1],
        ["CHECK", "first", both, here, None],
        ["CHECK", "second", both, here, 1],
        ["DEL", "second", both, here, 1],
        ["DEL", "first", both, here, None],
    ]


def test_a_failing_add_is_undone_and_told_in_the_plugins_words(attachment: Attachment) -> None:
    Path(attachment.plugins, "refuse").write_text("ADD second")
    with pytest.raises(EngineError, match=r"second refused ADD: no room: try later \(code 11\)"):
        chain.add(attachment)
    assert [entry[:2] for entry in log(attachment)] == [
        ["ADD", "first"],
        ["ADD", "second"],
        ["DEL", "second"],
        ["DEL", "first"],
    ]


def test_a_failing_del_does_not_keep_the_others_from_theirs(attachment: Attachment) -> None:
    Path(attachment.plugins, "refuse").write_text("DEL second")
    with pytest.raises(EngineError, match="second refused DEL"):
        chain.delete(attachment)
    assert [entry[1] for entry in log(attachment)] == ["second", "first"]


@pytest.mark.parametrize(
    ("program", "words"),
    [
        ("echo 'no such vlan' >&2; exit 3", "second refused ADD: no such vlan$"),
        ("echo '{\"code\": 7}'; exit 1", "second refused ADD: code 7$"),
        ("exit 4", "second refused ADD: it said nothing and ended with status 4."),
        ("kill -KILL $$", "second refused ADD: it said nothing and ended with status -9."),
        (
            "echo asking >&2; sleep 60; true",
            "did not end within 0.5 s of ADD and was stopped; it said: asking$",
        ),
        ("echo fine", "second answered ADD with no JSON"),
    ],
)
def test_a_plugin_that_does_not_do_as_it_should_is_told_about(
    attachment: Attachment, program: str, words: str
) -> None:
    Path(attachment.plugins, "second").write_text(f"#!/bin/sh\n[ $CNI_COMMAND = ADD ] || exit 0\n{program}\n")
    with pytest.raises(EngineError, match=words):
        chain.add(attachment, 0.5)
    assert log(attachment)[-1][:2] == ["DEL", "first"]


def test_a_namespace_that_is_gone_is_not_named(attachment: Attachment, tmp_path: Path) -> None:
    import msgspec

    (tmp_path / "left").touch()  # a file on which nothing is mounted any more
    for gone in (tmp_path / "none", tmp_path / "left"):
        chain.delete(msgspec.structs.replace(attachment, netns=str(gone)))
    assert {entry[3] for entry in log(attachment)} == {""}


def test_a_missing_plugin_is_named(attachment: Attachment) -> None:
    Path(attachment.plugins, "first").unlink()
    with pytest.raises(EngineError, match="first does not exist: install it"):
        chain.add(attachment)


def test_networks_are_found_by_name_or_file(tmp_path: Path) -> None:
    (tmp_path / "10-a.conflist").write_text(json.dumps(NETWORK))
    (tmp_path / "20-b.conf").write_text(json.dumps({"cniVersion": "0.4.0", "name": "one", "type": "bridge"}))
    (tmp_path / "README").write_text("not a network")
    assert conf.find(tmp_path, "net").types == ("first", "second")
    assert conf.find(tmp_path, "20-b").types == ("bridge",)
    with pytest.raises(ValueError, match="has no CNI network 'x'; it has: net, one"):
        conf.find(tmp_path, "x")


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"name": "../x"}, "name"),
        ({"cniVersion": "2.0"}, "cniVersion"),
        ({"plugins": []}, "no plugins"),
        ({"plugins": [{"type": "../sh"}]}, "type of a plugin"),
    ],
)
def test_what_is_wrong_with_a_network_is_said(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        conf.parse(NETWORK | change)


def test_results_as_plugins_give_them() -> None:
    result = {
        "ips": [{"address": "fd00::2/64"}, {"address": "10.1.0.5/16"}],
        "interfaces": [{"name": "cni0"}, {"name": "veth1"}, {"name": "eth0", "sandbox": "/n/1"}],
        "dns": {"nameservers": ["10.1.0.1"]},
    }
    assert chain.address_of(result) == "10.1.0.5"
    assert chain.host_interface_of(result) == "veth1"
    assert chain.nameservers_of(result) == ("10.1.0.1",)
    assert (chain.host_interface_of({}), chain.nameservers_of({})) == ("", ())
    with pytest.raises(EngineError, match="no IPv4 address"):
        chain.address_of({"ips": []})


def test_attachments_outlive_their_writer(attachment: Attachment, tmp_path: Path) -> None:
    kept = Attachments(tmp_path / "cni")
    kept.save(attachment)
    kept.remember(attachment.chain)
    again = Attachments(tmp_path / "cni")
    assert again.all() == (attachment,)
    assert again.chain() == attachment.chain
    again.forget(3)
    again.forget(3)
    assert again.all() == ()
