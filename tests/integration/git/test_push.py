"""git over HTTP: a real gunicorn, real git clients. In: pushes, clones.  Out: refs, objects, lines, builds."""

from __future__ import annotations

import os
import signal
import socket
import struct
import subprocess
import sys
import tarfile
import threading
import urllib.request
import zlib
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from server import ENV, GitServer, Work, server, wait_for  # noqa: E402

pytestmark = pytest.mark.integration


def post_head(app: str) -> bytes:
    """A push's request up to its body of 100,000 bytes."""
    lines = [
        f"POST /{app}.git/git-receive-pack HTTP/1.1",
        "Host: x",
        "Authorization: Basic eDp0b2tlbi1vZi1hZGE=",
    ]
    return "\r\n".join([*lines, "Content-Length: 100000", "", ""]).encode()


@pytest.fixture(scope="module")
def shared() -> Iterator[GitServer]:
    with server() as running:
        yield running


@pytest.fixture
def git_server(shared: GitServer) -> Iterator[GitServer]:
    shared.plan()
    (shared.root / "calls").unlink(missing_ok=True)
    yield shared
    assert "Traceback" not in shared.log.read_text()


@pytest.fixture
def app(request: pytest.FixtureRequest, git_server: GitServer) -> str:
    name = request.node.name.removeprefix("test_").replace("[", "-").replace("]", "").replace("_", "-")[:60]
    git_server.add_app(name)
    return name


@pytest.fixture
def work(git_server: GitServer, app: str, tmp_path: Path) -> Work:
    work = Work(tmp_path / "work", git_server.url(app))
    work.commit({"a.txt": "hello\n", "sub/b.txt": "there\n"})
    return work


@pytest.mark.parametrize("version", ["0", "1", "2"])
def test_first_push(git_server: GitServer, app: str, work: Work, version: str) -> None:
    git_server.plan("line -----> Python app detected", "line \x1b[1mdone\x07")
    output = work.git("-c", f"protocol.version={version}", "push", "paas", "main")
    assert "remote: -----> Python app detected" in output
    assert "\x1b" not in output and "\x07" not in output
    assert git_server.ref(app) == work.head()
    assert git_server.calls()[0] == f"start {app} main {work.head()} change"
    assert git_server.calls()[-1].startswith("confirm ")
    with tarfile.open(git_server.root / f"{app}.tar") as tar:
        assert sorted(tar.getnames()) == ["a.txt", "sub", "sub/b.txt"]
    assert "Everything up-to-date" in work.git("-c", f"protocol.version={version}", "push", "paas", "main")
    assert len(git_server.calls()) == 2


def test_push_beyond_the_post_buffer(git_server: GitServer, app: str, work: Work) -> None:
    """git sends more than 1 MiB in chunks, after a probe with an empty command list."""
    data = os.urandom(5 << 20)
    work.commit({"big.bin": data})
    work.git("push", "paas", "main")
    assert git_server.ref(app) == work.head()
    work.git("clone", "-q", git_server.url(app), "back")
    assert (work.path / "back" / "big.bin").read_bytes() == data


def test_push_with_a_content_length(git_server: GitServer, app: str, work: Work) -> None:
    work.commit({"big.bin": os.urandom(2 << 20)})
    work.git("-c", "http.postBuffer=50m", "push", "-o", "an.option=1", "paas", "main")
    assert git_server.ref(app) == work.head()


def test_rejected_build_changes_nothing(git_server: GitServer, app: str, work: Work) -> None:
    work.git("push", "paas", "main")
    before, files = work.head(), git_server.files_left(app)
    git_server.plan("line -----> building", "fail no buildpack fits this source")
    work.commit({"c.txt": "more\n"})
    output = work.git("push", "paas", "main", ok=False)
    assert "remote: -----> building" in output
    assert "[remote rejected] main -> main (no buildpack fits this source)" in output
    assert git_server.ref(app) == before
    assert git_server.files_left(app) == files
    git_server.plan("refuse another build of this app is running")
    assert "(another build of this app is running)" in work.git("push", "paas", "main", ok=False)
    git_server.plan()
    work.git("push", "paas", "main")
    assert git_server.ref(app) == work.head()


def test_lines_arrive_while_the_build_runs(
    git_server: GitServer, app: str, work: Work, tmp_path: Path
) -> None:
    git_server.plan("line first", f"wait {app}.go", "line second")
    with (tmp_path / "out").open("wb") as out:
        push = work.start("push", "paas", "main", stderr=out)
        wait_for(lambda: b"remote: first" in (tmp_path / "out").read_bytes())
        assert git_server.ref(app) == ""
        (git_server.root / f"{app}.go").touch()
        assert push.wait(20) == 0
    assert b"remote: second" in (tmp_path / "out").read_bytes()


def test_two_pushes_at_once(git_server: GitServer, app: str, work: Work) -> None:
    git_server.plan(f"wait {app}.go")
    first = work.start("push", "-q", "paas", "main")
    wait_for(lambda: any(call.startswith("waiting") for call in git_server.calls()))
    output = work.git("push", "paas", "main", ok=False)
    assert "(another push to this app is in progress; push again when it has ended)" in output
    (git_server.root / f"{app}.go").touch()
    assert first.wait(20) == 0
    assert git_server.ref(app) == work.head()


def test_six_pushes_race(git_server: GitServer, app: str, work: Work) -> None:
    results: list[int] = []
    commits = []
    for number in range(6):
        work.git("checkout", "-q", "-b", f"b{number}", "main")
        commits.append(work.commit({f"n{number}": str(number)}))
    threads = [
        threading.Thread(
            target=lambda n=n: results.append(work.start("push", "-q", "paas", f"b{n}:main").wait(30))
        )
        for n in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert results.count(0) == 1
    assert git_server.ref(app) in commits
    assert len([call for call in git_server.calls() if call.startswith("confirm")]) == 1


def test_ctrl_c_cancels_the_build(git_server: GitServer, app: str, work: Work) -> None:
    git_server.plan("line building", f"wait {app}.never")
    push = work.start("push", "-q", "paas", "main")
    wait_for(lambda: any(call.startswith("waiting") for call in git_server.calls()))
    os.killpg(push.pid, signal.SIGINT)
    push.wait(10)
    wait_for(lambda: any(call.startswith("cancel") for call in git_server.calls()))
    assert git_server.ref(app) == ""
    git_server.plan()

    def again() -> bool:
        return work.start("push", "-q", "paas", "main").wait(20) == 0

    wait_for(again)
    assert git_server.ref(app) == work.head()


def test_other_branches_and_tags_are_stored(git_server: GitServer, app: str, work: Work) -> None:
    work.git("push", "paas", "main")
    work.git("tag", "-a", "v1", "-m", "first")
    work.git("tag", "light")
    work.commit({"c.txt": "c"})
    calls = len(git_server.calls())
    output = work.git("push", "paas", "main:feature/x", "v1", "light")
    assert "remote: Pushed to branch feature/x: stored, not deployed. Push to main to deploy." in output
    assert len(git_server.calls()) == calls
    assert git_server.ref(app, "refs/heads/feature/x") == work.head()
    assert git_server.ref(app, "refs/tags/v1") == work.head("v1")
    assert "conflicts" in work.git("push", "paas", "main:feature", ok=False)
    work.git("push", "paas", ":feature/x", ":light")
    assert git_server.ref(app, "refs/heads/feature/x") == ""
    assert "main is what deploys, it cannot be deleted" in work.git("push", "paas", ":main", ok=False)


def test_force_push_and_going_back(git_server: GitServer, app: str, work: Work) -> None:
    first = work.head()
    work.commit({"c.txt": "c"})
    work.git("push", "paas", "main")
    work.git("reset", "-q", "--hard", first)
    work.git("push", "paas", "main", ok=False)
    work.git("push", "-f", "paas", "main")
    assert git_server.ref(app) == first
    work.git("commit", "-q", "--amend", "-m", "rewritten")
    work.git("push", "-f", "paas", "main")
    assert git_server.ref(app) == work.head()


def test_main_and_master_at_once(git_server: GitServer, app: str, work: Work) -> None:
    work.git("branch", "master")
    work.git("push", "paas", "main", "master")
    assert len([call for call in git_server.calls() if call.startswith("start")]) == 1
    work.commit({"c.txt": "c"})
    work.git("branch", "-f", "master", "main")
    work.commit({"d.txt": "d"})
    output = work.git("push", "paas", "main", "master", ok=False)
    assert "main and master both deploy and differ; push one of them" in output


def test_atomic(git_server: GitServer, app: str, work: Work) -> None:
    work.git("push", "paas", "main")
    work.commit({"c.txt": "c"})
    output = work.git("push", "--atomic", "paas", "main", "main:x", "main:x/y", ok=False)
    assert git_server.ref(app) == work.head("HEAD~1"), output
    assert git_server.ref(app, "refs/heads/x") == ""


def test_shallow_clones_can_push(git_server: GitServer, app: str, work: Work, tmp_path: Path) -> None:
    for number in range(3):
        work.commit({"a.txt": str(number)})
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", f"file://{work.path}", str(tmp_path / "shallow")],
        check=True,
        env=ENV,
    )
    shallow = Work(tmp_path / "shallow", "")
    shallow.git("push", git_server.url(app), "main")
    assert git_server.ref(app) == work.head()
    assert (git_server.repo(app) / "shallow").read_text().split() == [work.head()]
    shallow.commit({"new.txt": "x"})
    shallow.git("push", git_server.url(app), "main")
    assert shallow.git("clone", "-q", git_server.url(app), "back") == ""
    assert shallow.git("-C", "back", "rev-list", "--count", "HEAD").strip() == "2"
    work.git("pull", "-q", "--no-rebase", str(shallow.path), "main")
    work.git("push", "paas", "main:full")
    work.git("checkout", "-q", "--orphan", "afresh")
    work.git("commit", "-q", "-m", "afresh")
    work.git("push", "paas", "afresh")
    git_dir = ["git", "-C", str(git_server.repo(app)), "fsck", "--connectivity-only"]
    assert subprocess.run(git_dir, env=ENV, capture_output=True).returncode == 0


def test_a_full_push_mends_a_shallow_repository(
    git_server: GitServer, app: str, work: Work, tmp_path: Path
) -> None:
    work.commit({"a.txt": "2"})
    subprocess.run(
        ["git", "clone", "-q", "--depth=1", f"file://{work.path}", str(tmp_path / "shallow")],
        check=True,
        env=ENV,
    )
    Work(tmp_path / "shallow", "").git("push", git_server.url(app), "main")
    work.git("branch", "old", "HEAD~1")
    assert "shallow clone" in work.git("push", "paas", "old", ok=False)
    work.git("clone", "-q", "--no-local", "--single-branch", "-b", "old", ".", "other")
    other = Work(work.path / "other", "")
    other.commit({"b.txt": "beside"})
    other.git("push", "-f", git_server.url(app), "old:main")
    shallow = git_server.repo(app) / "shallow"
    assert not shallow.exists() or shallow.read_text() == ""
    work.git("clone", "-q", git_server.url(app), "back")
    assert work.git("-C", "back", "rev-list", "--count", "HEAD").strip() == "2"


@pytest.mark.parametrize("version", ["0", "2"])
def test_clone_and_fetch_back(git_server: GitServer, app: str, work: Work, version: str) -> None:
    for number in range(4):
        work.commit({f"d{number}/f.txt": f"{number}\n" * 50, "a.txt": str(number)})
        work.git("push", "paas", "main")
    work.git("tag", "-a", "v1", "-m", "first")
    work.git("push", "paas", "v1")
    protocol = ("-c", f"protocol.version={version}")
    work.git(*protocol, "clone", "-q", git_server.url(app), "back")
    assert work.git("-C", "back", "rev-parse", "HEAD", "v1") == work.git("rev-parse", "HEAD", "v1")
    assert work.git("-C", "back", "symbolic-ref", "HEAD").strip() == "refs/heads/main"
    assert len([name for name in git_server.files_left(app) if name.endswith(".pack")]) == 1
    work.commit({"late.txt": "late"})
    work.git("push", "paas", "main")
    work.git("-C", "back", *protocol, "pull", "-q")
    assert work.git("-C", "back", "rev-parse", "HEAD") == work.git("rev-parse", "HEAD")
    work.git(*protocol, "clone", "-q", "--depth=1", git_server.url(app), "one")
    assert work.git("-C", "one", "rev-list", "--count", "HEAD").strip() == "1"
    work.git(*protocol, "clone", "-q", "--filter=blob:none", "--no-checkout", git_server.url(app), "partial")
    work.git("-C", "back", "fsck", "--strict")


def test_clone_of_an_app_without_a_push(git_server: GitServer, app: str, work: Work) -> None:
    assert "cloned an empty repository" in work.git("clone", git_server.url(app), "back")


def test_who_may(git_server: GitServer, app: str, work: Work) -> None:
    wrong = git_server.url(app, "wrong")
    output = work.git("push", wrong, "main", ok=False)
    assert "remote: The token is wrong, expired or revoked" in output and "Authentication failed" in output
    output = work.git("push", git_server.url("no-such-app"), "main", ok=False)
    assert "remote: There is no app 'no-such-app' here, or it is not yours." in output
    bare = f"http://127.0.0.1:{git_server.port}/{app}.git"
    assert "could not read Username" in work.git("push", bare, "main", ok=False)
    (work.path / ".netrc").write_text("machine 127.0.0.1 login x password token-of-ada\n")
    work.git("push", bare, "main")
    git_server.add_app("asleep", "asleep is suspended: its bill is open")
    output = work.git("push", git_server.url("asleep"), "main", ok=False)
    assert "(asleep is suspended: its bill is open)" in output


def test_browsers_and_dumb_clients_get_a_hint(git_server: GitServer, app: str) -> None:
    for path in ("", "/HEAD", "/info/refs", "/objects/info/packs"):
        with pytest.raises(urllib.error.HTTPError) as error:
            urllib.request.urlopen(f"http://127.0.0.1:{git_server.port}/{app}.git{path}", timeout=10)
        assert error.value.code == 404
        assert b"git push paas main" in error.value.read()
        error.value.close()


@pytest.mark.parametrize("name", [".git", "..", ".GIT", "git~1"])
def test_hostile_names_are_refused(git_server: GitServer, app: str, work: Work, name: str) -> None:
    blob = work.git("hash-object", "-w", "a.txt").strip()
    tree = work.write_tree(b"100644 " + name.encode() + b"\0" + bytes.fromhex(blob))
    commit = work.git("commit-tree", tree, "-m", "evil").strip()
    output = work.git("push", "paas", f"{commit}:refs/heads/main", ok=False)
    assert "remote unpack failed: tree" in output and "[remote rejected]" in output
    assert git_server.calls() == []
    assert git_server.files_left(app) == []


def test_incomplete_history_is_refused(git_server: GitServer, app: str, work: Work) -> None:
    """A client whose own repository is damaged must not damage ours."""
    work.git("push", "paas", "main")
    body = f"tree {work.head('HEAD^{tree}')}\nparent {'7' * 40}\nauthor A <a@b> 1 +0000\ncommitter A <a@b> 1 +0000\n\nx"
    commit = work.git("hash-object", "-t", "commit", "-w", "--stdin", stdin=body.encode()).strip()
    pack = work.raw("pack-objects", "--stdout", "-q", stdin=commit.encode() + b"\n")
    command = f"{'0' * 40} {commit} refs/heads/x\0report-status".encode()
    request = urllib.request.Request(
        f"http://127.0.0.1:{git_server.port}/{app}.git/git-receive-pack",
        b"%04x" % (len(command) + 4) + command + b"0000" + pack,
        {
            "Content-Type": "application/x-git-receive-pack-request",
            "Authorization": "Basic eDp0b2tlbi1vZi1hZGE=",
        },
    )
    with urllib.request.urlopen(request, timeout=10) as response:
        answer = response.read()
    assert f"commit {'7' * 40} is missing".encode() in answer and b"ng refs/heads/x" in answer
    assert git_server.ref(app, "refs/heads/x") == ""


def test_lfs_pointers_and_submodules(git_server: GitServer, app: str, work: Work) -> None:
    work.git("update-index", "--add", "--cacheinfo", f"160000,{'1' * 40},vendor/lib")
    work.git("commit", "-q", "-m", "submodule")
    output = work.git("push", "paas", "main")
    assert "remote: Warning: vendor/lib is a submodule" in output
    pointer = "version https://git-lfs.github.com/spec/v1\noid sha256:" + "0" * 64 + "\nsize 12\n"
    (work.path / "model.bin").write_text(pointer)
    work.git("add", "model.bin")
    work.git("commit", "-q", "-m", "pointer")
    assert "(model.bin is a Git LFS pointer" in work.git("push", "paas", "main", ok=False)


def test_a_vanished_uploader_leaves_nothing(git_server: GitServer, app: str, work: Work) -> None:
    blob = zlib.compress(os.urandom(90_000), 0)
    pack = (
        b"PACK"
        + struct.pack(">LL", 2, 1)
        + bytes((0xB0 | 90_000 & 15, 0x80 | 90_000 >> 4 & 127, 90_000 >> 11))
        + blob
    )
    command = f"{'0' * 40} {work.head()} refs/heads/main\0report-status".encode()
    body = b"%04x" % (len(command) + 4) + command + b"0000" + pack
    with socket.create_connection(("127.0.0.1", git_server.port), 10) as client:
        client.sendall(post_head(app) + body[:80_000])
        wait_for(lambda: (git_server.repo(app) / "quarantine").exists())
    wait_for(lambda: not (git_server.repo(app) / "quarantine").exists())
    assert git_server.files_left(app) == []
    work.git("push", "paas", "main")


def test_limits(tmp_path: Path) -> None:
    """A pack over the limit, a stalled upload, too many pushes, joined packs: on a server with small limits."""
    settings = {"MAX_PACK": 1 << 20, "BODY_TIMEOUT": 1, "MAX_PUSHES": 1, "MAX_PACKS": 3}
    with server(**{f"PAAS_GIT_{name}": value for name, value in settings.items()}) as small:
        work = Work(tmp_path / "work", small.add_app("small"))
        work.commit({"big.bin": os.urandom(4 << 20)})
        output = work.git("push", "paas", "main", ok=False)
        assert "remote unpack failed: the pack exceeds 1 MB; keep big files out of git" in output
        assert small.files_left("small") == []
        work.git("checkout", "-q", "--orphan", "main2")
        work.git("rm", "-q", "--cached", "big.bin")
        (work.path / "big.bin").unlink()
        for number in range(5):
            work.commit({"a.txt": str(number)})
            work.git("push", "-f", "paas", "main2:main")
        assert len([name for name in small.files_left("small") if name.endswith(".pack")]) <= 3
        with socket.create_connection(("127.0.0.1", small.port), 10) as client:
            client.sendall(post_head("small") + b"0099")
            client.settimeout(10)
            while client.recv(65536):
                pass
        small.add_app("other")
        small.plan("wait go")
        work.commit({"a.txt": "last"})
        first = work.start("push", "-q", "paas", "main2:main")
        wait_for(lambda: any(call.startswith("waiting") for call in small.calls()))
        output = work.git("push", small.url("other"), "main2:main", ok=False)
        assert "too many pushes are running on this server" in output
        (small.root / "go").touch()
        assert first.wait(20) == 0
