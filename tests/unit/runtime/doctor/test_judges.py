"""What counts as a leftover, and what never does."""

from __future__ import annotations

from pathlib import PurePath

import pytest

from runtime.doctor.command import render, summary
from runtime.doctor.loops import judge_used
from runtime.doctor.mounts import judge_inside, judge_outside, parse_targets
from runtime.doctor.network import find_stranger, words_of
from runtime.doctor.place import Known, merge
from runtime.doctor.processes import Process, judge
from runtime.model import Finding
from runtime.network.rules import Member

pytestmark = pytest.mark.unit

HOME, RUN = PurePath("/data"), PurePath("/run/paas-x")
BUNDLES = ("/run/paas-x/b", "/data/c")
KNOWN = Known(
    containers=frozenset({"i1"}),
    supervisors=(("i1", 7),),
    slots=frozenset({3}),
    interfaces=frozenset({"vab3"}),
    addresses=frozenset({"10.1.0.3"}),
    volumes=frozenset({"1000000/cache"}),
)


@pytest.mark.parametrize(
    ("program", "pid", "words", "wrong"),
    [
        ("conmon", 7, ("-c", "i1", "-b", "/data/c/i1"), False),
        ("conmon", 8, ("-c", "i1", "-b", "/data/c/i1"), True),
        ("conmon", 8, ("-e", "-c", "i1", "-b", "/data/c/i1"), False),  # a session in the container
        ("conmon", 9, ("-c", "gone", "-b", "/data/c/gone"), True),
        ("conmon", 9, ("-c", "gone", "-b", "/run/paas-x/b/gone"), True),
        ("conmon", 9, ("-c", "gone", "-b", "/run/paas-x/bin/gone"), False),
        ("conmon", 9, ("-c", "gone", "-b", "/other/c/gone"), False),  # another platform's
        ("crun", 9, ("--root", "/data/oci", "exec", "i1"), False),
        ("crun", 9, ("--root", "/data/oci", "start", "gone"), True),
        ("crun", 9, ("--root", "/other/oci", "start", "gone"), False),
        ("python3", 9, ("/data/c/gone",), False),
    ],
)
def test_processes(program: str, pid: int, words: tuple[str, ...], wrong: bool) -> None:
    assert bool(judge(Process(pid, 1, program, words), BUNDLES, ("/data/oci",), KNOWN)) is wrong


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("/data", False),
        ("/data/ns", False),
        ("/data/ns/mnt", False),
        ("/data/images", False),  # an operator's own disk
        ("/data/c/i1/rootfs", True),
        ("/run/paas-x", True),
        ("/run/paas-x/c/i1", True),
        ("/run/paas-xy", False),
        ("/mnt/data/c/i1", False),
    ],
)
def test_mounts_that_the_host_sees(target: str, wrong: bool) -> None:
    assert bool(judge_outside(PurePath(target), RUN, HOME)) is wrong


@pytest.mark.parametrize(
    ("target", "wrong"),
    [
        ("", False),
        ("img/abc", False),
        ("img/def", True),
        ("c/i1/rootfs/usr", False),
        ("c/gone/rootfs", True),
        ("vol/1000000/cache", False),
        ("vol/1000000/other", True),
        ("net/3", False),
        ("net/4", True),
        ("net/x", True),
        ("export/i1/app", False),
        ("new-area", True),
    ],
)
def test_mounts_inside(target: str, wrong: bool) -> None:
    assert bool(judge_inside(RUN / target, RUN, HOME, KNOWN, frozenset({"abc"}))) is wrong


def test_mount_points_with_spaces() -> None:
    table = "22 1 8:1 / / rw - ext4 /dev/a rw\n23 22 0:5 / /a\\040b/c rw - tmpfs x rw\n"
    assert parse_targets(table) == ("/", "/a b/c")


@pytest.mark.parametrize(
    ("element", "words"),
    [
        ("10.1.0.3", ("10.1.0.3",)),
        (["10.1.0.3", 5], ("10.1.0.3",)),
        ({"concat": [1, "10.1.0.3"]}, ("1", "10.1.0.3")),
        ({"elem": {"val": {"concat": ["vab3", "10.1.0.3"]}, "timeout": 5}}, ("vab3", "10.1.0.3")),
    ],
)
def test_elements(element: object, words: tuple[str, ...]) -> None:
    assert words_of(element) == words


@pytest.mark.parametrize(
    ("words", "stranger"),
    [
        (("vab3", "10.1.0.3"), ""),
        (("vab4", "10.1.0.3"), "vab4"),
        (("vab3", "10.1.0.4"), "10.1.0.4"),
        (("7", "10.1.0.4"), "10.1.0.4"),
        (("eth0", "192.168.0.4"), ""),  # not ours to judge
    ],
)
def test_strangers_in_the_firewall(words: tuple[str, ...], stranger: str) -> None:
    assert find_stranger(words, "10.1.0.0/24", "vab", KNOWN) == stranger


def test_loop_devices_in_use() -> None:
    assert judge_used(HOME / "scratch" / "gone.ext4", HOME, KNOWN)
    assert not judge_used(HOME / "scratch" / "i1.ext4", HOME, KNOWN)
    assert not judge_used(HOME / "volumes" / "1" / "x.ext4", HOME, KNOWN)


def test_what_was_known_at_either_time_is_known() -> None:
    one, two = (Member(interface=f"v{n}", address=f"10.1.0.{n}", owner=1) for n in (1, 2))
    before = Known(containers=frozenset({"a"}), asked=frozenset({"a"}), members=(one, two))
    after = Known(containers=frozenset({"b"}), asked=frozenset({"b"}), members=(two,), starts=(("o", 1),))
    both = merge(before, after)
    assert both.containers == {"a", "b"} == both.asked
    assert (both.members, both.starts) == ((two,), (("o", 1),))


def test_the_table_and_its_sum() -> None:
    left = Finding(kind="mount", name="/run/x", problem="is stale")
    done = Finding(kind="interface", name="vab4", problem="is nobody's", repaired=True)
    failed = Finding(kind="mount", name="/y", problem="is stale", failed="could not be removed: busy")
    lines = render((left, done, failed))
    assert [line.split()[0] for line in lines] == ["STATE", "left", "repaired", "failed"]
    assert lines[3].endswith("is stale; could not be removed: busy")
    assert render(()) == [] and summary(()).startswith("clean")
    assert summary((done,)) == "clean: 1 repaired"
    assert "--repair" in summary((left,)) and summary((left, done)) == "1 left, 1 repaired"
