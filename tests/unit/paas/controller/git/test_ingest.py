"""The one-pass ingest against git's own verdict. In: packs, good and bad.  Out: the same index, or a refusal."""

from __future__ import annotations

import io
import random
import subprocess
import tracemalloc
from pathlib import Path

import pytest
from gitpacks import (
    ENV,
    KINDS,
    build_pack,
    commit,
    commit_of,
    entry,
    git,
    history,
    new_repo,
    object_id,
    pack_of,
    tree_of,
)

from paas.controller.git.ingest import Ingested, ingest
from paas.controller.git.limits import Limits
from paas.controller.git.objects import PackRefused, References
from paas.controller.git.packstore import open_store

pytestmark = pytest.mark.unit
BLOB, TREE, COMMIT, TAG, OFS, REF = 3, 2, 1, 4, 6, 7


def receive(
    folder: Path,
    pack: bytes,
    limits: Limits | None = None,
    references: References | None = None,
    store: Path | None = None,
    most: int = 1777,
) -> Ingested:
    """Ingest `pack`, at most `most` bytes at a time, and check that everything it names is there."""
    folder.mkdir(exist_ok=True)
    references = references or References()
    source = io.BytesIO(pack)
    with open_store(folder, *([store] if store else [])) as packs:
        found = ingest(
            lambda count: source.read(min(count, most)), folder, limits or Limits(), references, packs.get
        )
        references.check_closed(packs.kind)
    return found


def refused(folder: Path, pack: bytes, limits: Limits | None = None) -> str:
    """Return the message of a refusal."""
    with pytest.raises(PackRefused) as error:
        receive(folder, pack, limits)
    return str(error.value)


@pytest.fixture(scope="module")
def repo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return history(tmp_path_factory.mktemp("h") / "repo")


@pytest.mark.parametrize(
    "options",
    [(), ("--delta-base-offset",), ("--delta-base-offset", "--window=50", "--depth=200"), ("--window=0",)],
)
def test_index_equals_gits(repo: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    found = receive(tmp_path / "in", pack_of(repo, *options))
    assert found.pack is not None
    git(repo, "index-pack", "--strict", "-o", str(tmp_path / "git.idx"), str(found.pack))
    assert found.pack.with_suffix(".idx").read_bytes() == (tmp_path / "git.idx").read_bytes()


@pytest.mark.parametrize("options", [("--thin",), ("--thin", "--delta-base-offset")])
def test_a_thin_pack_is_completed(repo: Path, tmp_path: Path, options: tuple[str, ...]) -> None:
    first = receive(tmp_path / "old", pack_of(repo, revisions="main~5"))
    thin = pack_of(repo, *options, revisions="main\n^main~5")
    second = receive(tmp_path / "new", thin, store=tmp_path / "old")
    assert first.pack is not None and second.pack is not None
    git(repo, "verify-pack", str(second.pack.with_suffix(".idx")))
    git(repo, "index-pack", "-o", str(tmp_path / "git.idx"), str(second.pack))
    assert second.pack.with_suffix(".idx").read_bytes() == (tmp_path / "git.idx").read_bytes()
    assert len(second.pack.read_bytes()) > len(thin)


def test_a_thin_pack_without_its_bases_is_refused(repo: Path, tmp_path: Path) -> None:
    thin = pack_of(repo, "--thin", revisions="main\n^main~5")
    assert "base of a delta is missing" in refused(tmp_path / "in", thin)


def test_big_objects_and_their_deltas_stay_out_of_memory(tmp_path: Path) -> None:
    repo = new_repo(tmp_path / "repo")
    data = random.Random(3).randbytes(24 << 20)
    commit(repo, {"big.bin": data})
    commit(repo, {"big.bin": data[: 12 << 20] + b"in between" + data[12 << 20 :]})
    pack = pack_of(repo, "--delta-base-offset")
    assert len(pack) < 30 << 20, "the second version should be a delta"
    (tmp_path / "pack").write_bytes(pack)
    del pack, data
    (tmp_path / "in").mkdir()
    with (tmp_path / "pack").open("rb") as source:
        tracemalloc.start()
        found = ingest(source.read, tmp_path / "in", Limits(), References(), lambda sha: None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert found.objects == 6
    assert peak < 22 << 20
    git(repo, "verify-pack", str((found.pack or tmp_path).with_suffix(".idx")))


@pytest.mark.parametrize("most", [100, 1777, 64 << 10])
def test_large_files_that_pack_well(tmp_path: Path, most: int) -> None:
    """Their last bytes of input bring more output than one step takes, with other objects in the same piece."""
    repo = new_repo(tmp_path / "repo")
    sizes = [(64 << 10) + 1, (256 << 10) - 1, 256 << 10, (256 << 10) + 1, 300_000, 3 << 20]
    commit(repo, {f"{size}.log": f"{size} a line of a log\n".encode() * (size // 20) for size in sizes})
    commit(repo, {f"{size}.txt": bytes([65 + number]) * size for number, size in enumerate(sizes)})
    pack = pack_of(repo)
    found = receive(tmp_path / "in", pack, most=most)
    assert found.pack is not None
    git(repo, "index-pack", "--strict", "-o", str(tmp_path / "git.idx"), str(found.pack))
    assert found.pack.with_suffix(".idx").read_bytes() == (tmp_path / "git.idx").read_bytes()


def test_an_empty_pack_leaves_no_file(tmp_path: Path) -> None:
    assert receive(tmp_path / "in", build_pack()) == Ingested(None, 0)
    assert list((tmp_path / "in").iterdir()) == []


def test_mutated_packs_get_gits_verdict(repo: Path, tmp_path: Path) -> None:
    """Flip, cut and insert bytes: accept only what `git index-pack --strict` accepts, raise nothing but PackRefused."""
    good = pack_of(repo, "--delta-base-offset")
    dice = random.Random(5)
    for number in range(120):
        bad = bytearray(good)
        at = dice.randrange(len(bad))
        match number % 4:
            case 0:
                bad[at] ^= 1 << dice.randrange(8)
            case 1:
                del bad[at:]
            case 2:
                bad[at:at] = dice.randbytes(3)
            case _:
                bad[12 + at % 40] = dice.randrange(256)
        folder = tmp_path / f"m{number}"
        try:
            receive(folder, bytes(bad))
            accepted = True
        except PackRefused:
            accepted = False
        assert accepted == (bytes(bad) == good)


def test_mutations_with_a_right_checksum(tmp_path: Path, repo: Path) -> None:
    """The trailer alone must not be what protects: bodies are mutated and signed again."""
    import hashlib

    good = pack_of(repo, "--delta-base-offset")[:-20]
    dice = random.Random(6)
    for number in range(60):
        bad = bytearray(good)
        bad[dice.randrange(12, len(bad))] ^= 1 << dice.randrange(8)
        pack = bytes(bad) + hashlib.sha1(bad).digest()
        git_says = subprocess.run(
            ["git", "index-pack", "--strict", "--stdin", str(tmp_path / f"g{number}.pack")],
            input=pack, capture_output=True, env=ENV, cwd=repo,
        )  # fmt: skip
        try:
            receive(tmp_path / f"m{number}", pack)
            accepted = True
        except PackRefused:
            accepted = False
        assert accepted == (git_says.returncode == 0), git_says.stderr.decode()


def test_a_zip_bomb_is_refused_from_its_header(tmp_path: Path) -> None:
    bomb = build_pack(entry(BLOB, bytes(1000), size=1 << 30))
    assert "an object has 1 GB, the limit is 256 MB" in refused(tmp_path / "in", bomb)


def test_an_object_longer_than_its_header_says(tmp_path: Path) -> None:
    assert "does not inflate" in refused(tmp_path / "a", build_pack(entry(BLOB, bytes(5000), size=100)))
    assert "does not inflate" in refused(
        tmp_path / "b", build_pack(entry(BLOB, bytes(5_000_000), size=100_000))
    )


def test_a_delta_bomb_is_refused_before_it_is_applied(tmp_path: Path) -> None:
    base = bytes(1 << 16)
    copies = b"\x80\x80\x04" + b"\x80\x80\x80\x04" + b"\x80" * 2000
    bomb = build_pack(entry(BLOB, base), entry(REF, copies, base=object_id(b"blob", base)))
    limits = Limits(max_object=1 << 20)
    assert "the limit is 1 MB" in refused(tmp_path / "in", bomb, limits)


def test_many_small_deltas_count_together(tmp_path: Path) -> None:
    base = bytes(1 << 16)
    delta = b"\x80\x80\x04" + b"\x81\x80\x04" + b"\x80\x01"
    entries = [entry(REF, delta + bytes((n,)), base=object_id(b"blob", base)) for n in range(3)]
    assert "unpacks to more than" in refused(
        tmp_path / "in", build_pack(entry(BLOB, base), *entries), Limits(max_inflated=(1 << 17) + 100)
    )


def test_limits_are_named(repo: Path, tmp_path: Path) -> None:
    pack = pack_of(repo)
    assert "the pack exceeds 4 KB" in refused(tmp_path / "a", pack, Limits(max_pack=4096))
    assert "the limit is 10" in refused(tmp_path / "b", pack, Limits(max_objects=10))
    assert "chain is longer than 2" in refused(
        tmp_path / "c", pack_of(repo, "--delta-base-offset", "--depth=50"), Limits(max_delta_depth=2)
    )


def test_a_loop_of_deltas_is_refused(tmp_path: Path) -> None:
    delta = b"\x05\x05\x90\x05"
    loop = build_pack(entry(REF, delta, base=b"a" * 20), entry(REF, delta, base=b"b" * 20))
    assert "base of a delta is missing" in refused(tmp_path / "in", loop)


def test_the_same_object_twice_is_refused(tmp_path: Path) -> None:
    assert "twice" in refused(tmp_path / "in", build_pack(entry(BLOB, b"x"), entry(BLOB, b"x")))


HOSTILE = {
    b".git": "git's own folder",
    b".GiT": "git's own folder",
    b".git ": "git's own folder",
    b"git~1": "git's own folder",
    ".g\u200cit".encode(): "git's own folder",
    b"..": "directory reference",
    b".": "directory reference",
    b"../../x": "slash",
    b"/abs": "slash",
    b"n" * 256: "255 bytes",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_names_are_refused(tmp_path: Path, name: bytes) -> None:
    blob = b"harmless"
    tree = tree_of((b"100644", name, object_id(b"blob", blob)))
    pack = build_pack(
        entry(BLOB, blob), entry(TREE, tree), entry(COMMIT, commit_of(object_id(b"tree", tree)))
    )
    assert HOSTILE[name] in refused(tmp_path / "in", pack)


@pytest.mark.parametrize(
    "name", [b".gitignore", b".github", b"...", b"git", "gr\u00fc\u00df".encode(), b"a:b", b"\xff"]
)
def test_harmless_names_pass(tmp_path: Path, name: bytes) -> None:
    blob = b"harmless"
    tree = tree_of((b"100644", name, object_id(b"blob", blob)))
    assert receive(tmp_path / "in", build_pack(entry(BLOB, blob), entry(TREE, tree))).objects == 2


def test_bad_trees_are_refused(tmp_path: Path) -> None:
    blob, sha = b"x", object_id(b"blob", b"x")
    empty = object_id(b"tree", b"")
    cases = {
        "same name twice": tree_of((b"100644", b"a", sha), (b"100644", b"a", sha)),
        "the same name": tree_of((b"100644", b"a", sha), (b"40000", b"a", empty)),
        "not sorted": tree_of((b"100644", b"b", sha), (b"100644", b"a", sha)),
        "is not sorted": tree_of((b"40000", b"a", empty), (b"100644", b"a.b", sha)),
        "file mode": tree_of((b"104755", b"a", sha)),
        "malformed": b"100644 a\0short",
    }
    for number, (text, tree) in enumerate(cases.items()):
        pack = build_pack(entry(BLOB, blob), entry(TREE, b""), entry(TREE, tree))
        assert text in refused(tmp_path / str(number), pack)


def test_incomplete_packs_are_refused(tmp_path: Path) -> None:
    blob = b"x"
    tree = tree_of((b"100644", b"a", object_id(b"blob", blob)))
    parent = b"\7" * 20
    lonely = commit_of(object_id(b"tree", tree), parent)
    assert "blob" in refused(tmp_path / "a", build_pack(entry(TREE, tree)))
    assert "tree" in refused(tmp_path / "b", build_pack(entry(COMMIT, commit_of(object_id(b"tree", tree)))))
    complete = build_pack(entry(BLOB, blob), entry(TREE, tree), entry(COMMIT, lonely))
    assert f"commit {parent.hex()} is missing" in refused(tmp_path / "c", complete)


def test_a_wrong_type_is_refused(tmp_path: Path) -> None:
    tree = tree_of((b"100644", b"a", object_id(b"tree", b"")))
    assert "is missing" in refused(tmp_path / "a", build_pack(entry(TREE, b""), entry(TREE, tree)))


def test_shallow_commits_are_excused_and_noted(tmp_path: Path) -> None:
    lonely = commit_of(object_id(b"tree", b""), b"\7" * 20)
    sha = object_id(b"commit", lonely)
    references = References(frozenset((sha,)))
    receive(tmp_path / "in", build_pack(entry(TREE, b""), entry(COMMIT, lonely)), references=references)
    assert references.cut == {sha}


def test_submodules_need_nothing(tmp_path: Path) -> None:
    tree = tree_of((b"160000", b"module", b"\1" * 20))
    assert receive(tmp_path / "in", build_pack(entry(TREE, tree))).objects == 1


def test_kinds_are_all_known() -> None:
    assert sorted(KINDS.values()) == [1, 2, 3, 4]
