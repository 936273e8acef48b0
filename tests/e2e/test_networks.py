"""Ways out of an app and between apps, opened and closed while it runs: no release, no restart, told in its log."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.platform import Platform, until
from tests.system.runtime.outside import machine_outside

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

TRY = """if self.path.startswith("/try/"):
            import socket
            host, port = self.path.split("/")[2:]
            try:
                socket.create_connection((host, int(port)), 3).close()
                body = b"open"
            except OSError as error:
                body = type(error).__name__.encode()
        elif self.path == "/env":"""
MOMENT = 15  # seconds until a change must show: this machine may be busy


def app_that_tries() -> dict[str, str]:
    """The plain server, which also connects to where it is told."""
    files = apps.plain("one")
    return files | {"server.py": files["server.py"].replace('if self.path == "/env":', TRY)}


def tries(platform: Platform, app: str, host: str, port: int) -> str:
    answer = platform.get(app, f"/try/{host}/{port}")
    assert answer.status == 200, answer.text
    return answer.text


def set_egress(platform: Platform, app: str, **change: object) -> None:
    answer = platform.api("PATCH", f"/apps/{app}/egress", {"app": change})
    assert answer.status == 200, answer.text


def runs(platform: Platform, *names: str) -> list[tuple[str, str]]:
    rows = [row for name in names for row in platform.api("GET", f"/apps/{name}/dynos").json()]
    return [(row["id"], row["state"]) for row in rows]


def log_of(platform: Platform, app: str) -> str:
    session = platform.api("POST", f"/apps/{app}/log-sessions", {"lines": 200}).json()
    path = session["logplex_url"].partition("/log-sessions/")[2]
    return platform.api("GET", f"/log-sessions/{path}", Accept="text/plain").text


def test_ways_are_closed_and_opened_live(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app, other = platform.create_app("ways"), platform.create_app("goal")
    for name in (app, other):
        pushed = platform.git_push(make_repository(files=app_that_tries(), name=name), name)
        assert pushed.code == 0, pushed
    before = runs(platform, app, other)
    with machine_outside() as outside:
        target = outside.first, 9000
        assert tries(platform, app, *target) == "open"
        set_egress(platform, app, policy="deny")
        until(
            lambda: tries(platform, app, *target) == "ConnectionRefusedError", MOMENT, "the way out is closed"
        )
        assert tries(platform, other, *target) == "open"
        until(
            lambda: f"Egress rules refused {outside.first}:9000/tcp" in log_of(platform, app),
            MOMENT,
            "the app's log tells it",
        )
        set_egress(platform, app, rules=[f"{outside.first}:9000"])
        until(lambda: tries(platform, app, *target) == "open", MOMENT, "what is listed is open again")
        assert tries(platform, app, outside.first, 9001) == "ConnectionRefusedError"
        set_egress(platform, app, policy="allow")
        until(lambda: tries(platform, app, outside.first, 9001) == "open", MOMENT, "everything is open again")

    port = int(re.search(r"'PORT', '(\d+)'", platform.get(other, "/env").text)[1])
    inside = "web.db.back.internal", port
    assert tries(platform, app, *inside) == "gaierror"
    assert platform.api("POST", "/networks", {"name": "back"}).status == 201
    for name, aliases in ((app, []), (other, ["db"])):
        answer = platform.api("POST", "/networks/back/members", {"app": name, "aliases": aliases})
        assert answer.status == 201, answer.text
    until(lambda: tries(platform, app, *inside) == "open", MOMENT, "members reach each other by name")
    assert platform.api("DELETE", "/networks/back").status == 409
    assert platform.api("DELETE", f"/networks/back/members/{other}").status == 200
    until(lambda: tries(platform, app, *inside) == "gaierror", MOMENT, "who left has no name there")
    assert platform.api("DELETE", f"/networks/back/members/{app}").status == 200
    assert platform.api("DELETE", "/networks/back").status == 200
    assert runs(platform, app, other) == before, "nothing was restarted"
    assert len(platform.api("GET", f"/apps/{app}/releases").json()) == 2, "no release was made"
    for name in (app, other):
        platform.api("DELETE", f"/apps/{name}")
