"""Sentences about limits: what is due, when it is said again, and that nothing counted is left out."""

from __future__ import annotations

from runtime.agent.limits import AGAIN_SECONDS, Seen, judge
from runtime.agent.limits_met import met
from runtime.container.port import Strain
from runtime.model import LimitKind

MEBIBYTE = 2**20
NEW = Seen(Strain(id="c1"))


def test_who_is_within_the_limits_is_not_spoken_of() -> None:
    strain = Strain(id="c1", pids=256, layer_used=98, layer_size=100, tmp_used=1, tmp_size=100)
    assert judge(NEW, strain, 0, 0.0)[1] == ()


def test_each_limit_has_its_words() -> None:
    strain = Strain(
        id="c1",
        forks_refused=1200,
        pids=256,
        memory_kills=1,
        memory_bytes=64 * MEBIBYTE,
        open_files=512,
        nofile=512,
        layer_used=64 * MEBIBYTE,
        layer_size=64 * MEBIBYTE,
        tmp_used=16 * MEBIBYTE,
        tmp_size=16 * MEBIBYTE,
        forged=3,
    )
    assert judge(NEW, strain, 5000, 0.0)[1] == (
        "It hit its limit of 256 processes: 1200 times it could not make another",
        "1 process was stopped at its limit of 64 MiB of memory",
        "A process hit its limit of 512 open files",
        "The writable layer is full (64 MiB)",
        "/tmp is full (16 MiB)",
        "3 packets with a source address that is not its own were dropped",
        "5000 lines of its output were lost: it writes too much",
    )


def test_it_is_said_once_a_minute_with_all_that_was_counted_meanwhile() -> None:
    seen, first = judge(NEW, Strain(id="c1", forks_refused=1, pids=9), 0, 0.0)
    assert first == ("It hit its limit of 9 processes: once it could not make another",)
    seen, second = judge(seen, Strain(id="c1", forks_refused=5, pids=9), 0, AGAIN_SECONDS - 1)
    assert second == ()
    seen, third = judge(seen, Strain(id="c1", forks_refused=8, pids=9), 0, AGAIN_SECONDS)
    assert third == ("It hit its limit of 9 processes: 7 times it could not make another",)
    assert judge(seen, Strain(id="c1", forks_refused=8, pids=9), 0, 3 * AGAIN_SECONDS)[1] == ()


def test_kinds_wait_apart() -> None:
    seen, _ = judge(NEW, Strain(id="c1", forks_refused=1, pids=9), 0, 0.0)
    assert judge(seen, Strain(id="c1", forks_refused=2, pids=9, forged=1), 7, 1.0)[1] == (
        "1 packet with a source address that is not its own was dropped",
        "7 lines of its output were lost: it writes too much",
    )


def test_a_counter_that_began_anew_is_not_negative() -> None:
    seen, _ = judge(NEW, Strain(id="c1", forged=9), 0, 0.0)
    seen, sentences = judge(seen, Strain(id="c1", forged=0), 0, 100.0)
    assert sentences == () and judge(seen, Strain(id="c1", forged=1), 0, 101.0)[1]


def test_the_limits_that_were_met_are_kinds() -> None:
    assert met(Strain(id="c1", pids=9, memory_bytes=9, layer_used=98, layer_size=100)) == ()
    assert met(Strain(id="c1", forks_refused=1, layer_used=99, layer_size=100)) == (
        LimitKind.PROCESSES,
        LimitKind.DISK,
    )
    assert met(Strain(id="c1", memory_kills=2, tmp_used=4, tmp_size=4)) == (
        LimitKind.MEMORY,
        LimitKind.TEMPORARY,
    )
