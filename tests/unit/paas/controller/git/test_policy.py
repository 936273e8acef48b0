"""Which refs a push may move. In: commands, refs.  Out: faults, and the command that deploys."""

from __future__ import annotations

import pytest
from dulwich.objects import ObjectID
from dulwich.refs import Ref

from paas.controller.git.limits import Limits
from paas.controller.git.policy import Command, Verdict, judge, name_fault

pytestmark = pytest.mark.unit
ZERO, A, B, C = (ObjectID(digit * 40) for digit in (b"0", b"a", b"b", b"c"))
MAIN, MASTER, OTHER = (Ref(b"refs/heads/" + name) for name in (b"main", b"master", b"other"))


def decide(*commands: tuple[ObjectID, ObjectID, Ref], atomic: bool = False, **refs: ObjectID) -> Verdict:
    known = {Ref(b"refs/heads/" + name.encode()): sha for name, sha in refs.items()}
    return judge(
        [Command(*command) for command in commands], known, ("main", "master"), Limits(), atomic=atomic
    )


def test_main_deploys_and_others_are_stored() -> None:
    verdict = decide((ZERO, A, OTHER), (ZERO, A, MAIN))
    assert verdict.faults == {}
    assert verdict.deploy is not None and verdict.deploy.ref == MAIN
    assert decide((ZERO, A, OTHER)).deploy is None


def test_master_deploys_too() -> None:
    verdict = decide((ZERO, A, MASTER))
    assert verdict.deploy is not None and verdict.deploy.ref == MASTER


def test_main_and_master_together() -> None:
    same = decide((ZERO, A, MASTER), (ZERO, A, MAIN))
    assert same.deploy is not None and same.deploy.ref == MAIN and same.faults == {}
    differ = decide((ZERO, A, MASTER), (ZERO, B, MAIN), (ZERO, B, OTHER))
    assert set(differ.faults) == {MAIN, MASTER} and differ.deploy is None
    assert [command.ref for command in differ.accepted] == [OTHER]


def test_a_deploy_branch_cannot_be_deleted() -> None:
    assert "cannot be deleted" in decide((A, ZERO, MAIN), main=A).faults[MAIN]
    assert decide((A, ZERO, OTHER), other=A).faults == {}


def test_stale_old_ids_are_refused() -> None:
    assert "has moved" in decide((A, B, MAIN), main=C).faults[MAIN]
    assert "has moved" in decide((ZERO, B, MAIN), main=C).faults[MAIN]
    assert "has moved" in decide((A, ZERO, OTHER)).faults[OTHER]


def test_atomic_is_all_or_nothing() -> None:
    verdict = decide((ZERO, A, MAIN), (A, B, OTHER), atomic=True)
    assert verdict.accepted == () and verdict.deploy is None
    assert verdict.faults[MAIN] == "atomic push failed"
    later = decide((ZERO, A, MAIN), (ZERO, B, OTHER), atomic=True).refuse({OTHER: "x"}, atomic=True)
    assert later.accepted == () and later.deploy is None


def test_files_and_folders_of_refs() -> None:
    below = Ref(b"refs/heads/other/one")
    assert "conflicts" in decide((ZERO, A, below), other=A).faults[below]
    assert (
        "conflicts"
        in decide((ZERO, A, Ref(b"refs/heads/x")), (ZERO, A, Ref(b"refs/heads/x/y"))).faults[
            Ref(b"refs/heads/x")
        ]
    )
    assert decide((A, ZERO, OTHER), (ZERO, A, below), other=A).faults == {}
    assert "twice" in decide((ZERO, A, OTHER), (ZERO, B, OTHER)).faults[OTHER]


@pytest.mark.parametrize(
    "ref",
    [b"HEAD", b"config", b"refs/heads/../../x", b"refs/heads/x.lock", b"refs/heads/a\nb", b"refs/heads/", b"refs/x",
     b"refs/heads/.x", b"refs/heads/a b", b"refs/heads/" + b"n" * 300, b"refs/heads" + b"/a" * 30],
)  # fmt: skip
def test_bad_ref_names(ref: bytes) -> None:
    assert name_fault(ref, Limits())


@pytest.mark.parametrize(
    "ref", [b"refs/heads/main", b"refs/tags/v1.0", b"refs/heads/f/gr\xc3\xbcn", b"refs/notes/x"]
)
def test_good_ref_names(ref: bytes) -> None:
    assert name_fault(ref, Limits()) == ""
