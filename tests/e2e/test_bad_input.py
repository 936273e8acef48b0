"""Bad input: each gets a clear sentence, and what served before goes on serving."""

from __future__ import annotations

import hashlib
import os
import subprocess
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.platform import Platform, Pushed, commit, git, repository

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


@pytest.fixture(scope="module")
def served(platform: Platform, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """An app that serves `good`, with its repository."""
    app = platform.create_app()
    folder = repository(tmp_path_factory.mktemp("served") / "app", None, apps.plain("good"))
    pushed = platform.git_push(folder, app)
    assert pushed.code == 0, pushed.output
    yield app, folder
    platform.api("DELETE", f"/apps/{app}")


def refused(
    platform: Platform, served: tuple[str, Path], files: dict[str, str], remove: tuple[str, ...] = ()
) -> Pushed:
    """Push `files` in place of what is there; check that it fails and that nothing changes."""
    app, folder = served
    good = git(folder, "rev-parse", "HEAD")
    before = remote_main(platform, app)
    for name in remove:
        (folder / name).unlink()
    commit(folder, "bad", files)
    pushed = platform.git_push(folder, app)
    git(folder, "reset", "--quiet", "--hard", good)
    git(folder, "clean", "-fdq")
    assert pushed.code == 1, pushed.output
    assert "[remote rejected]" in pushed.output, pushed.output
    assert remote_main(platform, app) == before, "the ref does not move"
    assert platform.get(app).text.startswith("good"), "the old release keeps serving"
    return pushed


def remote_main(platform: Platform, app: str) -> str:
    command = ["git", "ls-remote", platform.git_url(app), "refs/heads/main"]
    done = subprocess.run(command, env=platform.git_environ(), check=True, capture_output=True, text=True)
    return done.stdout.split()[0]


def test_no_buildpack_fits(platform: Platform, served: tuple[str, Path]) -> None:
    pushed = refused(platform, served, {"notes.txt": "nothing to run"}, remove=("Procfile", "server.py"))
    assert "requirements.txt" in pushed.output, "it says what it looked for"


def test_requirements_that_do_not_resolve(platform: Platform, served: tuple[str, Path]) -> None:
    pushed = refused(platform, served, {"requirements.txt": "flask==99.99.99\n"})
    assert "flask==99.99.99" in pushed.output


def test_procfile_with_a_merge_conflict(platform: Platform, served: tuple[str, Path]) -> None:
    conflict = "<<<<<<< HEAD\nweb: python3 a.py\n=======\nweb: python3 b.py\n>>>>>>> topic\n"
    pushed = refused(platform, served, {"Procfile": conflict})
    assert "line 1" in pushed.output.lower()
    assert "conflict" in pushed.output.lower()


def test_an_app_that_crashes_at_start(platform: Platform, served: tuple[str, Path]) -> None:
    pushed = refused(platform, served, {"server.py": "import sys\nsys.exit('no database here')\n"})
    assert "exited with status 1" in pushed.output
    assert "no database here" in pushed.output, "its last words are shown"


def test_a_command_that_is_not_there(platform: Platform, served: tuple[str, Path]) -> None:
    pushed = refused(platform, served, {"Procfile": "web: no-such-command --port $PORT\n"})
    assert "not found" in pushed.output


def test_an_app_that_never_listens(platform: Platform, served: tuple[str, Path]) -> None:
    pushed = refused(platform, served, {"server.py": "import time\ntime.sleep(600)\n"})
    assert "R10" in pushed.output
    assert "$PORT" in pushed.output


def test_an_answer_without_its_expected_text(platform: Platform, served: tuple[str, Path]) -> None:
    pushed = refused(platform, served, {"CHECKS": "/ All fine\n"})
    assert "(R10 boot timeout): GET / was answered without the text 'All fine'" in pushed.output


def test_a_release_command_that_fails(platform: Platform, served: tuple[str, Path]) -> None:
    procfile = "release: echo migrating && exit 4\nweb: python3 server.py\n"
    pushed = refused(platform, served, {"Procfile": procfile})
    assert "migrating" in pushed.output
    assert "exited with status 4" in pushed.output


def test_the_next_good_push_works(platform: Platform, served: tuple[str, Path]) -> None:
    app, folder = served
    commit(folder, "good again", apps.plain("good again"))
    assert platform.git_push(folder, app).code == 0


@pytest.mark.parametrize("name", ["..", ".git", ".GIT"])
def test_hostile_paths_in_a_tree(platform: Platform, served: tuple[str, Path], name: str) -> None:
    app, folder = served
    blob = git(folder, "rev-parse", "HEAD:server.py")
    inner = write_object(folder, "tree", tree_entry("100644", "config", blob))
    tree = write_object(folder, "tree", tree_entry("40000", name, inner))
    who = "Dev <dev@localhost> 1700000000 +0000"
    body = (
        f"tree {tree}\nparent {git(folder, 'rev-parse', 'HEAD')}\nauthor {who}\ncommitter {who}\n\nhostile\n"
    )
    hostile = write_object(folder, "commit", body.encode())
    git(folder, "update-ref", "refs/heads/hostile", hostile)
    pushed = platform.git_push(folder, app, "hostile:main")
    git(folder, "update-ref", "-d", "refs/heads/hostile")
    assert pushed.code == 1, pushed.output
    assert name in pushed.output
    assert platform.get(app).status == 200


def tree_entry(mode: str, name: str, oid: str) -> bytes:
    return f"{mode} {name}".encode() + b"\0" + bytes.fromhex(oid)


def write_object(folder: Path, kind: str, body: bytes) -> str:
    """Write a loose object as it is: git's own commands would refuse the hostile ones."""
    data = f"{kind} {len(body)}".encode() + b"\0" + body
    oid = hashlib.sha1(data).hexdigest()
    file = folder / ".git" / "objects" / oid[:2] / oid[2:]
    file.parent.mkdir(exist_ok=True)
    if not file.exists():
        file.write_bytes(zlib.compress(data))
    return oid


def test_a_pack_over_the_limit(
    free_ports: Callable[[int], list[int]], platform: Platform, served: tuple[str, Path]
) -> None:
    app, folder = served
    limit = int(platform.environ["PAAS_GIT_MAX_PACK"])
    good = git(folder, "rev-parse", "HEAD")
    (folder / "big.bin").write_bytes(os.urandom(limit + 1024**2))
    commit(folder, "big")
    pushed = platform.git_push(folder, app)
    git(folder, "reset", "--quiet", "--hard", good)
    assert pushed.code == 1, pushed.output
    assert "exceeds" in pushed.output or "larger" in pushed.output, pushed.output
    assert platform.get(app).status == 200


def test_a_wrong_token(platform: Platform, served: tuple[str, Path]) -> None:
    app, folder = served
    environ = platform.git_environ()
    environ.pop("GIT_CONFIG_COUNT")
    url = platform.git_url(app).replace("://", "://x:not-a-token@")
    done = subprocess.run(
        ["git", "push", url, "main"], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )
    assert done.returncode == 128
    assert "Authentication failed" in done.stderr


def test_an_unknown_app(platform: Platform, served: tuple[str, Path]) -> None:
    pushed = platform.git_push(served[1], "no-such-app")
    assert pushed.code == 128
    assert "no-such-app" in pushed.output
    answer = platform.api("GET", "/apps/no-such-app")
    assert answer.status == 404
    assert answer.json()["id"] == "not_found"
    page = platform.get("no-such-app")
    assert page.status == 404


def test_a_name_that_is_taken(platform: Platform, served: tuple[str, Path]) -> None:
    answer = platform.api("POST", "/apps", {"name": served[0]})
    assert answer.status == 422
    assert "taken" in answer.json()["message"]


@pytest.mark.parametrize("name", ["Big", "a", "-x", "x" * 31, "a_b", "ünï", "../x"])
def test_names_that_cannot_be(platform: Platform, name: str) -> None:
    answer = platform.api("POST", "/apps", {"name": name})
    assert answer.status == 422
    assert "lower-case" in answer.json()["message"]


def test_two_pushes_at_once(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app = platform.create_app()
    files = apps.plain("one")
    files["Procfile"] = "release: sleep 3\nweb: python3 server.py\n"
    folder = make_repository(files=files)
    command = ["git", "push", platform.git_url(app), "main"]
    both = [
        subprocess.Popen(command, cwd=folder, env=platform.git_environ(), stderr=subprocess.PIPE, text=True)
        for _ in range(2)
    ]
    outputs = [one.communicate(timeout=120)[1] for one in both]
    codes = sorted(one.returncode for one in both)
    assert codes == [0, 1], outputs
    loser = outputs[0] if both[0].returncode else outputs[1]
    assert "another push" in loser.lower(), loser
    assert platform.get(app).text.startswith("one")


def test_interrupted_push_cancels_its_build(platform: Platform, make_repository: Callable[..., Path]) -> None:
    import signal

    from tests.e2e.platform import until
    from tests.e2e.test_kill import Push, slow_build

    app = platform.create_app()
    folder = make_repository(files=slow_build("one"))
    push = Push.begin(platform, folder, app)
    push.await_line("building one")
    os.killpg(push.process.pid, signal.SIGINT)  # Ctrl-C reaches every process of the terminal
    push.end()

    def status() -> str:
        return str(platform.api("GET", f"/apps/{app}/builds").json()[0]["status"])

    until(lambda: status() in {"failed", "cancelled"}, 20, "the build has been cancelled", 0.3)
    assert platform.get(app).status == 503
    commit(folder, "after", apps.node("two"))
    pushed = platform.git_push(folder, app)
    assert pushed.code == 0, pushed.output
    assert platform.get(app).text.startswith("two")
