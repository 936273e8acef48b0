"""Commands against a real HTTP server: what they ask, what they print, how they end."""

from __future__ import annotations

import io
import re
import resource
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from paas.gateway import certificates

from .conftest import Paas, Platform

pytestmark = pytest.mark.unit
ROOT = Path(__file__).parents[4]

APP = {
    "name": "shop",
    "git_url": "http://git.test:5001/shop.git",
    "web_url": "http://shop.test/",
    "owner": {"email": "ada@example.com"},
    "stack": {"name": "debian-13"},
    "slug_size": 1048576,
    "maintenance": False,
    "created_at": "2026-01-01T00:00:00Z",
}


def git(*arguments: str) -> str:
    return subprocess.run(["git", *arguments], check=True, capture_output=True, text=True).stdout


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode()), encoding="utf-8"))


@pytest.mark.parametrize(
    "words", [("config:set", "A=1"), ("config", "set", "A=1"), ("config:set", "A=1", "-a", "shop"), ("-a",)]
)
def test_colon_and_space_are_the_same(
    platform: Platform, paas: Paas, words: tuple[str, ...], monkeypatch: Any
) -> None:
    if words == ("-a",):
        assert paas(*words).code == 2
        return
    monkeypatch.setenv("PAAS_APP", "shop")
    platform.answer("PATCH", "/apps/shop/config-vars", {"A": "1"})
    platform.answer("GET", "/apps/shop/releases", [{"version": 7}])
    done = paas(*words)
    assert (done.code, done.out) == (0, "Set A of shop, v7.\n")
    assert platform.asked[0].body == {"A": "1"}
    assert platform.asked[0].headers["Authorization"] == "Bearer secret-token"
    assert platform.asked[1].headers["Range"] == "version ..; order=desc, max=1"


class TestExitCodes:
    def test_0_when_it_worked(self, platform: Platform, paas: Paas) -> None:
        platform.answer("GET", "/account", {"email": "ada@example.com"})
        assert paas("whoami").out == "ada@example.com\n"

    def test_1_when_the_platform_refuses(self, platform: Platform, paas: Paas) -> None:
        platform.answer("POST", "/apps", {"id": "invalid_params", "message": "Name shop is taken."}, 422)
        done = paas("create", "shop")
        assert (done.code, done.out, done.err) == (1, "", " !    Name shop is taken.\n")

    @pytest.mark.parametrize(
        "words",
        [
            ("nothing",),
            ("ps:scale", "web", "-a", "x"),
            ("config:set", "A", "-a", "x"),
            ("info",),
            ("ps", "-q"),
        ],
    )
    def test_2_when_the_command_makes_no_sense(
        self, platform: Platform, paas: Paas, words: tuple[str, ...]
    ) -> None:
        done = paas(*words)
        assert (done.code, done.out) == (2, "")
        assert done.err
        assert platform.asked == []

    def test_3_when_not_logged_in(
        self, platform: Platform, paas: Paas, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        platform.answer("GET", "/account", {"id": "unauthorized", "message": "no"}, 401)
        assert paas("whoami").code == 3
        monkeypatch.delenv("PAAS_TOKEN")
        done = paas("whoami")
        assert done.code == 3 and "paas login" in done.err
        assert len(platform.asked) == 1

    def test_4_when_it_cannot_be_reached(self, paas: Paas, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PAAS_TOKEN", "x")
        done = paas("whoami", "--url", "http://127.0.0.1:1")
        assert done.code == 4 and "Is it running?" in done.err and "refused" in done.err.lower()
        assert paas("whoami", "--url", "http://nowhere.invalid").code == 4

    def test_something_that_is_no_platform(self, platform: Platform, paas: Paas) -> None:
        platform.answer("GET", "/account", b"<html>hello</html>")
        assert "API address" in paas("whoami").err


class TestLogin:
    ACCOUNT = {"email": "ada@example.com", "git_url": "http://git.test:5001"}

    def ready(self, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("PAAS_TOKEN")
        platform.answer("POST", "/oauth/authorizations", {"access_token": {"token": "tok-1"}}, 201)
        platform.answer("GET", "/account", self.ACCOUNT)

    def test_a_login_is_kept_for_later_and_for_git(
        self, platform: Platform, paas: Paas, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ready(platform, monkeypatch)
        (home / ".netrc").write_text("machine other.test login me password mine\n")
        stdin(monkeypatch, "pässword\n")
        done = paas("login", "--email", "ada@example.com", "--password-stdin")
        assert done.code == 0, done.err
        assert platform.asked[0].headers["Authorization"].startswith("Basic ")
        assert platform.asked[0].body["scope"] == ["global"]
        config = home / ".config/paas/config.json"
        assert "tok-1" in config.read_text() and config.stat().st_mode & 0o777 == 0o600
        netrc = home / ".netrc"
        assert netrc.stat().st_mode & 0o777 == 0o600
        assert "machine other.test login me password mine" in netrc.read_text()
        assert "machine git.test\n  login paas\n  password tok-1" in netrc.read_text()
        assert "tok-1" not in done.out + done.err
        monkeypatch.delenv("PAAS_URL")
        assert paas("whoami").out == "ada@example.com\n"
        assert platform.last.headers["Authorization"] == "Bearer tok-1"
        assert sorted(path.name for path in config.parent.iterdir()) == ["config.json"]

    def test_a_token_from_stdin(
        self, platform: Platform, paas: Paas, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ready(platform, monkeypatch)
        stdin(monkeypatch, "tok-2\n")
        assert paas("login", "--token", "-").code == 0
        assert platform.last.headers["Authorization"] == "Bearer tok-2"

    def test_a_token_stays_with_its_platform(
        self, platform: Platform, paas: Paas, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ready(platform, monkeypatch)
        assert paas("login", "--token", "tok-3").code == 0
        port = platform.url.rpartition(":")[2]
        assert paas("whoami", "--url", f"http://localhost:{port}").code == 3

    def test_a_failed_login_keeps_nothing(
        self, platform: Platform, paas: Paas, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ready(platform, monkeypatch)
        wrong = {"id": "unauthorized", "message": "The e-mail address or the password is wrong."}
        platform.answer("POST", "/oauth/authorizations", wrong, 401)
        stdin(monkeypatch, "guess\n")
        done = paas("login", "--email", "ada@example.com", "--password-stdin")
        assert done.code == 1 and "wrong" in done.err
        assert not (home / ".config").exists() and not (home / ".netrc").exists()

    def test_logging_out_revokes_and_forgets(
        self, platform: Platform, paas: Paas, home: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        self.ready(platform, monkeypatch)
        (home / ".netrc").write_text("machine other.test login me password mine\n")
        paas("login", "--token", "tok-4")
        platform.answer("DELETE", "/oauth/authorizations/~", {})
        assert paas("logout").code == 0
        assert platform.last.headers["Authorization"] == "Bearer tok-4"
        assert (home / ".netrc").read_text() == "machine other.test login me password mine\n"
        assert "tok-4" not in (home / ".config/paas/config.json").read_text()
        assert paas("whoami").code == 3


def test_what_runs_and_why_the_newest_release_does_not(platform: Platform, paas: Paas) -> None:
    platform.answer("GET", "/apps/shop/dynos", [])
    failed = {
        "version": 3,
        "status": "failed",
        "message": "web.1: no room",
        "created_at": "2026-01-01T00:00:00Z",
    }
    platform.answer("GET", "/apps/shop/releases", [failed])
    said = paas("ps", "-a", "shop").err
    assert re.search(r"v3 failed .* ago: web.1: no room", said)
    platform.answer("GET", "/apps/shop/releases", [failed | {"status": "succeeded"}])
    assert "v3" not in paas("ps", "-a", "shop").err


class TestApps:
    def test_creating_in_a_repository_adds_the_remote(self, platform: Platform, paas: Paas) -> None:
        git("init", "-q")
        platform.answer("POST", "/apps", APP, 201)
        done = paas("create", "shop", "--stack", "host")
        assert platform.last.body == {"name": "shop", "stack": "host"}
        assert "git push paas main" in done.out
        assert git("remote", "get-url", "paas").strip() == APP["git_url"]
        helper = git("config", "credential.http://git.test:5001.helper")
        assert helper.strip() == f"!paas git:credentials --url {platform.url}"
        platform.answer("GET", "/apps/shop/dynos", [])
        platform.answer("GET", "/apps/shop", APP)
        assert "Slug size:   1.0 MiB" in paas("info").out

    def test_a_remote_that_is_there_stays(self, platform: Platform, paas: Paas) -> None:
        git("init", "-q")
        git("remote", "add", "paas", "http://git.test:5001/other.git")
        platform.answer("POST", "/apps", APP, 201)
        done = paas("create", "shop")
        assert done.code == 0 and "git remote set-url" in done.err
        assert git("remote", "get-url", "paas").strip() == "http://git.test:5001/other.git"

    def test_destroying_needs_the_name(
        self, platform: Platform, paas: Paas, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        platform.answer("DELETE", "/apps/shop", APP)
        stdin(monkeypatch, "")
        assert paas("destroy", "-a", "shop").code == 2
        assert paas("destroy", "-a", "shop", "--confirm", "other").code == 2
        assert platform.asked == []
        assert paas("destroy", "--confirm", "shop").out == "Destroyed shop.\n"

    def test_renaming_changes_the_remotes(self, platform: Platform, paas: Paas) -> None:
        git("init", "-q")
        git("remote", "add", "paas", APP["git_url"])  # type: ignore[arg-type]
        platform.answer("GET", "/apps/shop", APP)
        platform.answer(
            "PATCH", "/apps/shop", {**APP, "name": "store", "git_url": "http://git.test:5001/store.git"}
        )
        assert paas("rename", "store").code == 0
        assert git("remote", "get-url", "paas").strip() == "http://git.test:5001/store.git"

    def test_lists_are_read_to_the_last_page(self, platform: Platform, paas: Paas) -> None:
        def page(asked: Any) -> list[Any]:
            if "Range" in asked.headers:
                return [{**APP, "name": "two"}]
            platform.answer("GET", "/users/~/apps", page)  # the page after this one is the last
            return [{**APP, "name": "one"}]

        platform.answer("GET", "/users/~/apps", page, 206, Next_Range="name ]one..; max=1")
        assert [app["name"] for app in paas("apps", "--json").json] == ["one", "two"]
        assert platform.last.headers["Range"] == "name ]one..; max=1"


class TestConfig:
    @pytest.fixture(autouse=True)
    def app(self, platform: Platform, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PAAS_APP", "shop")
        platform.answer("PATCH", "/apps/shop/config-vars", {})
        platform.answer("GET", "/apps/shop/releases", [])

    def test_values_hold_anything(self, platform: Platform, paas: Paas) -> None:
        assert paas("config:set", "A=x=y", "B=zwei\nZeilen 🦆", "C=").code == 0
        assert platform.asked[0].body == {"A": "x=y", "B": "zwei\nZeilen 🦆", "C": ""}

    def test_values_from_files_and_stdin_are_taken_as_they_are(
        self, platform: Platform, paas: Paas, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "key.pem").write_bytes(b"-----BEGIN\r\n\nEND\n")
        stdin(monkeypatch, "from stdin\n")
        assert paas("config:set", "--from-file", f"KEY={tmp_path}/key.pem", "--from-file", "IN=-").code == 0
        assert platform.asked[0].body == {"KEY": "-----BEGIN\r\n\nEND\n", "IN": "from stdin\n"}
        (tmp_path / "binary").write_bytes(b"\xff")
        assert paas("config:set", "--from-file", f"KEY={tmp_path}/binary").code == 2
        assert paas("config:set", "--from-file", f"KEY={tmp_path}/none").code == 2

    def test_printing(self, platform: Platform, paas: Paas) -> None:
        platform.answer("GET", "/apps/shop/config-vars", {"LONG_NAME": "it's", "A": "1"})
        assert paas("config").out == "A:         1\nLONG_NAME: it's\n"
        assert paas("config", "--shell").out.splitlines()[1] == """LONG_NAME='it'"'"'s'"""
        assert paas("config:get", "A").out == "1\n"
        assert paas("config", "get", "NONE").code == 1

    def test_unsetting(self, platform: Platform, paas: Paas) -> None:
        assert paas("config", "unset", "A", "B").code == 0
        assert platform.asked[0].body == {"A": None, "B": None}


class TestPs:
    @pytest.mark.parametrize(
        ("text", "change"),
        [
            ("web=2", {"type": "web", "quantity": "2"}),
            ("worker+1", {"type": "worker", "quantity": "+1"}),
            ("my-worker-3", {"type": "my-worker", "quantity": "-3"}),
            ("web=2:standard-2x", {"type": "web", "quantity": "2", "size": "standard-2x"}),
            ("web=performance-m", {"type": "web", "size": "performance-m"}),
        ],
    )
    def test_scaling(self, platform: Platform, paas: Paas, text: str, change: dict[str, str]) -> None:
        platform.answer("PATCH", "/apps/shop/formation", [])
        assert paas("scale", text, "-a", "shop").code == 0
        assert platform.last.body == {"updates": [change]}

    def test_what_runs(self, platform: Platform, paas: Paas) -> None:
        dyno = {
            "type": "web",
            "size": "standard-1x",
            "command": "python app.py",
            "name": "web.1",
            "state": "up",
        }
        more = {"updated_at": "2026-01-01T00:00:00Z", "release": {"version": 3}, "exit_message": ""}
        platform.answer("GET", "/apps/shop/dynos", [{**dyno, **more}])
        lines = paas("ps", "-a", "shop").out.splitlines()
        assert lines[0] == "=== web (standard-1x): python app.py (1)"
        assert lines[1].startswith("web.1: up v3 2026-01-01T00:00:00Z (")
        sick = {"state": "crashed", "health_message": "GET / was answered with status 500"}
        platform.answer("GET", "/apps/shop/dynos", [{**dyno, **more, **sick}])
        assert paas("ps", "-a", "shop").out.splitlines()[1].endswith(")  GET / was answered with status 500")

    @pytest.mark.parametrize(
        ("words", "asked"),
        [
            (("restart",), ("DELETE", "/apps/shop/dynos")),
            (("restart", "web"), ("DELETE", "/apps/shop/formations/web")),
            (("ps", "restart", "web.1"), ("DELETE", "/apps/shop/dynos/web.1")),
            (("ps:stop", "run.12"), ("POST", "/apps/shop/dynos/run.12/actions/stop")),
            (("ps:stop", "web"), ("POST", "/apps/shop/formations/web/actions/stop")),
        ],
    )
    def test_restarting_and_stopping(
        self, platform: Platform, paas: Paas, words: tuple[str, ...], asked: tuple[str, str]
    ) -> None:
        platform.answer(*asked, {}, 202)
        assert paas(*words, "-a", "shop").code == 0
        assert (platform.last.method, platform.last.path) == asked

    def test_running_detached(self, platform: Platform, paas: Paas) -> None:
        platform.answer("POST", "/apps/shop/dynos", lambda asked: {**asked.body, "name": "run.1"}, 201)
        done = paas("run", "-a", "shop", "--detach", "-e", "A=1", "python", "-c", "print('x y')")
        assert platform.last.body == {
            "command": """python -c 'print('"'"'x y'"'"')'""",
            "attach": False,
            "env": {"A": "1"},
        }
        assert "--dyno run.1" in done.out
        paas("run", "--detach", "-a", "shop", "echo $A | cat")
        assert platform.last.body["command"] == "echo $A | cat"

    def test_running_attached_asks_for_a_session_and_says_when_there_is_none(
        self, platform: Platform, paas: Paas, tmp_path: Path
    ) -> None:
        certificates.ensure(tmp_path / "ca", ("localhost",))
        platform.answer("GET", "/ca.pem", (tmp_path / "ca" / "ca.pem").read_bytes())
        dyno = {"name": "run.1", "attach_url": "rendezvous://127.0.0.1:1/secret"}
        platform.answer("POST", "/apps/shop/dynos", dyno, 201)
        done = paas("run", "-a", "shop", "--no-tty", "-e", "A=1", "bash")
        assert platform.last.body == {
            "command": "bash",
            "attach": True,
            "env": {"A": "1"},
            "force_no_tty": True,
        }
        assert done.code == 4 and "127.0.0.1:1" in done.err
        platform.answer("POST", "/apps/shop/dynos/web.1", dyno, 201)
        paas("ps:exec", "-a", "shop", "web.1", "--", "ls", "a b")
        assert platform.last.body["command"] == "ls 'a b'"


class TestCron:
    ROW = {
        "id": "0a1b2c3d",
        "command": "bin/tidy",
        "schedule": "@daily",
        "concurrency_policy": "forbid",
        "paused": True,
        "next_at": None,
        "last_at": None,
    }

    def test_what_is_scheduled(self, platform: Platform, paas: Paas) -> None:
        platform.answer("GET", "/apps/shop/cron", [self.ROW])
        line = paas("cron", "-a", "shop").out.splitlines()[1]
        assert line.split()[:5] == ["0a1b2c3d", "@daily", "bin/tidy", "forbid", "paused"]

    def test_by_hand(self, platform: Platform, paas: Paas) -> None:
        platform.answer("POST", "/apps/shop/cron/0a1b2c3d/actions/run", {"name": "cron.1234"})
        assert paas("cron:run", "0a1b2c3d", "-a", "shop").out.startswith("Started cron.1234 of shop.")

    @pytest.mark.parametrize(
        ("word", "paused", "said"),
        [
            ("pause", True, "Paused bin/tidy of shop."),
            ("resume", False, "Resumed bin/tidy of shop: next at 2026-01-02T00:00:00Z."),
        ],
    )
    def test_paused_and_resumed(
        self, platform: Platform, paas: Paas, word: str, paused: bool, said: str
    ) -> None:
        row = {**self.ROW, "paused": paused, "next_at": None if paused else "2026-01-02T00:00:00Z"}
        platform.answer("PATCH", "/apps/shop/cron/0a1b2c3d", row)
        assert paas(f"cron:{word}", "0a1b2c3d", "-a", "shop").out == f"{said}\n"
        assert platform.last.body == {"paused": paused}


class TestReleases:
    def row(self, version: int, **values: Any) -> dict[str, Any]:
        return {
            "id": f"id-{version}",
            "version": version,
            "current": False,
            "eligible_for_rollback": True,
        } | values

    def test_rolling_back_goes_to_the_one_before_the_current(self, platform: Platform, paas: Paas) -> None:
        failed = self.row(5, eligible_for_rollback=False)
        platform.answer("GET", "/apps/shop/releases", [failed, self.row(4, current=True), self.row(3)])
        platform.answer("POST", "/apps/shop/releases", self.row(6), 201)
        assert paas("rollback", "-a", "shop").out == "Rolling shop back to v3: it is v6 now.\n"
        assert platform.last.body == {"release": "id-3"}
        platform.answer("GET", "/apps/shop/releases/v2", self.row(2))
        assert paas("rollback", "v2", "-a", "shop").code == 0
        assert platform.last.body == {"release": "id-2"}

    def test_differences_in_words(self, platform: Platform, paas: Paas) -> None:
        changes = {
            "code": ["a", "b"],
            "stack": None,
            "config": {"A": "added"},
            "formation": {"web": ["1", "2"]},
        }
        platform.answer("GET", "/apps/shop/releases/v1/diff/current", changes)
        assert paas("releases", "diff", "v1", "-a", "shop").out.splitlines() == [
            "code: a -> b",
            "config A: added",
            "formation web: 1 -> 2",
        ]


class TestLogs:
    def test_the_last_lines(self, platform: Platform, paas: Paas) -> None:
        platform.answer("POST", "/apps/shop/log-sessions", {"logplex_url": f"{platform.url}/log"}, 201)
        platform.answer(
            "GET", "/log", "retry: 1\n\nid: 1-0\ndata: one 🦆\n\n: beat\n\nid: 1-1\ndata: two\n\n".encode()
        )
        assert paas("logs", "-a", "shop", "-n", "2", "--dyno", "web").out == "one 🦆\ntwo\n"
        assert platform.asked[0].body == {"lines": 2, "tail": False, "dyno": "web"}
        assert "Authorization" not in platform.asked[1].headers
        assert paas("logs", "-a", "shop", "--json").out.splitlines()[1] == '{"id": "1-1", "line": "two"}'

    def test_a_broken_tail_goes_on_after_the_last_line(self, platform: Platform, paas: Paas) -> None:
        def stream(asked: Any) -> bytes:
            after = asked.headers.get("Last-Event-ID")
            if after == "1-1":
                platform.answer(
                    "POST", "/apps/shop/log-sessions", {"id": "gone", "message": "App gone."}, 404
                )
                platform.answer("GET", "/log", {"id": "not_found", "message": "expired"}, 404)
                return b""
            return b"id: 1-1\ndata: two\n\n" if after else b"id: 1-0\ndata: one\n\n"

        platform.answer("POST", "/apps/shop/log-sessions", {"logplex_url": f"{platform.url}/log"}, 201)
        platform.answer("GET", "/log", stream)
        done = paas("logs", "-a", "shop", "--tail")
        assert (done.code, done.out) == (1, "one\ntwo\n")
        assert "App gone." in done.err


class TestGit:
    def test_the_credential_helper_answers_for_the_platform_only(
        self, platform: Platform, paas: Paas, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        platform.answer("GET", "/account", {"git_url": "http://git.test:5001"})
        stdin(monkeypatch, "protocol=http\nhost=git.test:5001\n")
        assert paas("git:credentials", "get").out == "username=paas\npassword=secret-token\n"
        stdin(monkeypatch, "protocol=http\nhost=git.test:5002\n")
        assert paas("git:credentials", "get").out == ""
        stdin(monkeypatch, "protocol=http\nhost=git.test:5001\n")
        assert paas("git:credentials", "store").out == ""

    def test_a_remote_is_set(self, platform: Platform, paas: Paas) -> None:
        assert paas("git:remote", "-a", "shop").code == 2
        git("init", "-q")
        platform.answer("GET", "/apps/shop", APP)
        assert paas("git", "remote", "-a", "shop").code == 0
        assert git("remote", "get-url", "paas").strip() == APP["git_url"]


def test_the_version_is_there_at_once_and_loads_no_http(home: Path) -> None:
    program = "import sys; from paas.cli.main import run; run(['--version']); print('urllib3' in sys.modules)"
    times = []
    for _ in range(3):
        before = _processor_seconds()
        done = subprocess.run(
            [sys.executable, "-c", program], check=True, capture_output=True, text=True, cwd=ROOT
        )
        times.append(_processor_seconds() - before)  # not what a busy machine lets it wait
    assert done.stdout.splitlines()[-1] == "False"
    assert min(times) < 0.5  # 0.15 s on an idle machine


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_help_names_every_command(home: Path, paas: Paas) -> None:
    from paas.cli.main import ALIASES, COMMANDS

    printed = paas("--help").out
    assert all(f"  {name}" in printed for name in COMMANDS)
    assert set(ALIASES.values()) <= set(COMMANDS)
    assert paas("config:set", "--help").code == 0
