"""Seccomp profiles: what an operator's file says, and that a meeting of two allows nothing that either refuses."""

from __future__ import annotations

import base64
import errno
import json
from itertools import product
from pathlib import Path

import pytest

from runtime.container import profiles, trust
from runtime.container.port import EngineError
from runtime.container.seccomp import ALLOWED, BUILTIN, compile_bpf, describe
from runtime.container.syscall_rules import KILL, Comparison, Profile, Rule, meet, read_profile

pytestmark = pytest.mark.unit

DOCUMENT = {
    "defaultAction": "SCMP_ACT_ERRNO",
    "syscalls": [
        {"names": ["read", "write"], "action": "SCMP_ACT_ALLOW"},
        {"names": ["mount"], "action": "SCMP_ACT_ALLOW", "includes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["umount2"], "action": "SCMP_ACT_ALLOW", "excludes": {"caps": ["CAP_SYS_ADMIN"]}},
        {"names": ["process_mrelease"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "99.1"}},
        {"names": ["ptrace"], "action": "SCMP_ACT_ALLOW", "includes": {"minKernel": "4.8"}},
        {"names": ["s390_pci"], "action": "SCMP_ACT_ALLOW", "includes": {"arches": ["s390"]}},
        {"names": ["keyctl"], "action": "SCMP_ACT_ERRNO", "errnoRet": errno.ENOSYS},
        {"names": ["reboot"], "action": "SCMP_ACT_KILL_PROCESS"},
        {
            "names": ["socket"],
            "action": "SCMP_ACT_ALLOW",
            "args": [{"index": 0, "value": 40, "op": "SCMP_CMP_NE"}],
        },
    ],
}


def test_a_profile_is_resolved_for_a_process_without_capabilities() -> None:
    profile = read_profile(DOCUMENT)
    assert profile.default_errno == errno.EPERM
    assert {rule.name: rule.errno for rule in profile.rules} == {
        "read": 0, "write": 0, "umount2": 0, "ptrace": 0, "keyctl": errno.ENOSYS, "reboot": KILL, "socket": 0,
    }  # fmt: skip
    assert profile.rules[-1].args == (Comparison(index=0, value=40, value_two=0, op="SCMP_CMP_NE"),)
    assert len(base64.b64decode(compile_bpf(profile))) > 8
    assert describe(profile)["defaultAction"] == "SCMP_ACT_ERRNO"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"defaultAction": "SCMP_ACT_TRACE"}, "SCMP_ACT_TRACE"),
        ({"syscalls": "read"}, "not a list"),
        ({"defaultErrnoRet": 5000}, "5000"),
        ({"syscalls": [{"names": ["read"], "action": "SCMP_ACT_NOTIFY"}]}, "SCMP_ACT_NOTIFY"),
        (
            {
                "syscalls": [
                    {"names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{"index": 9, "op": "x"}]}
                ]
            },
            "comparison",
        ),
    ],
)
def test_what_is_not_offered_is_named(change: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        read_profile(DOCUMENT | change)


def verdict(profile: Profile, name: str, first: int) -> bool:
    """Whether a call with `first` as its first argument is allowed, as the kernel would see it."""
    tests = {
        "SCMP_CMP_EQ": lambda one: first == one.value,
        "SCMP_CMP_NE": lambda one: first != one.value,
        "SCMP_CMP_MASKED_EQ": lambda one: first & one.value == one.value_two,
    }
    for rule in profile.rules:
        if rule.name == name and all(tests[one.op](one) for one in rule.args if one.index == 0):
            return rule.errno == 0
    return profile.default_errno == 0


def where(op: str, value: int) -> tuple[Comparison, ...]:
    return (Comparison(index=0, value=value, value_two=0, op=op),)


SHAPES = (
    (),
    (Rule(name="x"),),
    (Rule(name="x", errno=1),),
    (Rule(name="x", args=where("SCMP_CMP_EQ", 1)),),
    (Rule(name="x", args=where("SCMP_CMP_EQ", 2)), Rule(name="x", args=where("SCMP_CMP_EQ", 1))),
    (Rule(name="x", args=where("SCMP_CMP_NE", 1)),),
    (Rule(name="x", args=where("SCMP_CMP_MASKED_EQ", 6)),),
)


@pytest.mark.parametrize(("ours", "theirs"), list(product(SHAPES, SHAPES)))
@pytest.mark.parametrize("default", [0, errno.EPERM])
def test_a_meeting_never_allows_what_one_of_them_refuses(
    ours: tuple[Rule, ...], theirs: tuple[Rule, ...], default: int
) -> None:
    one, two = Profile(rules=ours, default_errno=38), Profile(rules=theirs, default_errno=default)
    both = meet(one, two)
    for first in range(8):
        if verdict(both, "x", first):
            assert verdict(one, "x", first)
            assert verdict(two, "x", first)


def test_a_meeting_keeps_what_both_allow() -> None:
    assert {rule.name for rule in meet(BUILTIN, read_profile(DOCUMENT)).rules if not rule.errno} == {
        "read",
        "write",
    }
    everything = Profile(rules=(), default_errno=0)
    allowed = {rule.name for rule in meet(BUILTIN, everything).rules if not rule.errno}
    assert allowed == {*ALLOWED, "clone", "socket", "personality"}
    assert meet(BUILTIN, BUILTIN) == BUILTIN


def test_profiles_are_files_of_root_alone(tmp_path: Path) -> None:
    folder = tmp_path / "seccomp"
    folder.mkdir(mode=0o755)
    (folder / "small.json").write_text(json.dumps(DOCUMENT))
    (folder / "small.json").chmod(0o666)
    assert profiles.names(folder) == ("small",)
    assert profiles.load(folder, "") is BUILTIN
    with pytest.raises(EngineError, match="chmod go-w"):
        profiles.load(folder, "small")
    with pytest.raises(EngineError, match="'other' is not on this host, which has small"):
        profiles.load(folder, "other")
    with pytest.raises(EngineError, match="not on this host"):
        profiles.load(folder, "../small")
    (folder / "small.json").chmod(0o644)
    if folder.stat().st_uid == 0:
        trust.check(folder / "small.json")
        assert profiles.load(folder, "small") == read_profile(DOCUMENT)
