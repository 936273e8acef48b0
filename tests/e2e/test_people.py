"""A team: a second account pushes to an app that is shared with it, and is refused as soon as it is not."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.platform import ROOT, Answer, Platform, Pushed, commit

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

EMAIL = "second@example.com"


@dataclass(frozen=True)
class Person:
    """An account with the `paas` command and a home of its own."""

    platform: Platform
    home: Path

    def paas(self, *words: str, stdin: str = "", token: str = "") -> str:
        """Run a command to its good end; its output."""
        done = self.run(*words, stdin=stdin, token=token)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def run(self, *words: str, stdin: str = "", token: str = "") -> subprocess.CompletedProcess[str]:
        url = f"http://localhost:{self.platform.port('PAAS_API_PORT')}"
        environ = {name: value for name, value in os.environ.items() if not name.startswith("PAAS_")}
        environ |= {"HOME": str(self.home), "PAAS_URL": url} | ({"PAAS_TOKEN": token} if token else {})
        environ.pop("XDG_CONFIG_HOME", None)
        return subprocess.run(
            (sys.executable, "-m", "paas.cli.main", *words),
            env=environ | {"PYTHONPATH": str(ROOT)},
            cwd=self.home,
            input=stdin,
            text=True,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def login(self, password: str, new: str) -> str:
        """Log in with a one-time password and choose another; the token."""
        self.paas("login", "--email", EMAIL, "--password-stdin", stdin=f"{password}\n{new}\n")
        entry = (self.home / ".netrc").read_text().split()
        return entry[entry.index("password") + 1]


@dataclass
class Team:
    """The platform as the second account sees it: `seen` has its token."""

    person: Person
    seen: Platform
    app: str
    repository: Path

    def push(self, version: str) -> Pushed:
        commit(self.repository, version, apps.plain(version))
        return self.seen.git_push(self.repository, self.app)

    def api(self, method: str, path: str) -> Answer:
        return self.seen.api(method, path)


@pytest.fixture
def team(platform: Platform, make_repository: Callable[..., Path], tmp_path: Path) -> Iterator[Team]:
    """An app of the first account, and a second account that has just chosen its password."""
    (tmp_path / "home").mkdir()
    person = Person(platform, tmp_path / "home")
    app = platform.create_app()
    try:
        made = person.paas("users:add", EMAIL, "--json", token=platform.token)
        one_time = platform.api("PATCH", f"/users/{EMAIL}", {"reset_password": True}).json()["password"]
        assert one_time not in made
        token = person.login(one_time, "a password of my own")
        seen = replace(platform, ready={**platform.ready, "token": token})
        yield Team(person, seen, app, make_repository(files=apps.plain("one")))
    finally:
        platform.api("DELETE", f"/apps/{app}")
        platform.api("DELETE", f"/users/{EMAIL}")


def test_a_second_account_deploys_what_is_shared_with_it_and_only_that(
    platform: Platform, team: Team
) -> None:
    assert_refused(team)
    team.person.paas("access:add", EMAIL, "-a", team.app, token=platform.token)
    pushed = team.push("two")
    assert pushed.code == 0, pushed.output
    assert platform.get(team.app).text.startswith("two")
    assert team.api("DELETE", f"/apps/{team.app}").status == 403, "its end stays with the owner"

    team.person.paas("access:remove", EMAIL, "-a", team.app, token=platform.token)
    assert_refused(team)
    assert platform.get(team.app).text.startswith("two"), "what was deployed serves on"

    team.person.paas("transfer", EMAIL, "-a", team.app, token=platform.token)
    assert team.push("three").code == 0
    disabled = team.person.paas("users:disable", EMAIL, token=platform.token)
    assert "Their apps run on" in disabled
    assert_refused(team, status=401)
    assert platform.get(team.app).text.startswith("three")

    team.person.paas("users:enable", EMAIL, token=platform.token)
    assert team.api("GET", f"/apps/{team.app}").status == 200


def assert_refused(team: Team, status: int = 404) -> None:
    """Check that neither git nor the API nor the command lets the second account in, and that nothing moves."""
    before = served(team)
    pushed = team.push("refused")
    assert pushed.code == 128, pushed.output
    # After a 401 git asks for other credentials, and here there is nobody to ask.
    words = "could not read Username" if status == 401 else "not yours"
    assert words in pushed.output
    assert served(team) == before
    assert team.api("GET", f"/apps/{team.app}").status == status
    shown = team.person.run("info", "-a", team.app)
    assert shown.returncode == (3 if status == 401 else 1), shown.stderr


def served(team: Team) -> str:
    """Return what the repository's main points to, as the first account sees it."""
    admin = team.person.platform
    environ = admin.git_environ()
    command = ("git", "ls-remote", admin.git_url(team.app), "refs/heads/main")
    return subprocess.run(command, env=environ, check=True, capture_output=True, text=True).stdout
