"""Every sample app, pushed to a platform and asked over HTTP."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.platform import Answer, Platform, commit, git, until

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]


def deployed(platform: Platform, folder: Path) -> tuple[str, str]:
    """Push to a fresh app; its name and what the push printed."""
    app = platform.create_app()
    pushed = platform.git_push(folder, app)
    assert pushed.code == 0, pushed.output
    return app, pushed.output


def scale(platform: Platform, app: str, type_: str, quantity: int) -> None:
    answer = platform.api(
        "PATCH", f"/apps/{app}/formation", {"updates": [{"type": type_, "quantity": quantity}]}
    )
    assert answer.status == 200, answer.text


def log_of(platform: Platform, app: str, dyno: str) -> str:
    """Return the newest lines of one dyno, by a log session."""
    session = platform.api(
        "POST", f"/apps/{app}/log-sessions", {"lines": 200, "tail": False, "dyno": dyno}
    ).json()
    from urllib.parse import urlsplit

    from tests.e2e.platform import request

    url = urlsplit(session["logplex_url"])
    return request(platform.port("PAAS_API_PORT"), "GET", f"{url.path}?{url.query}", None, {}).text


def test_flask_web_and_worker(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app, output = deployed(platform, make_repository("python-web-worker"))
    assert "Python app detected" in output
    answer = platform.get(app)
    assert answer.status == 200
    assert app in answer.text
    scale(platform, app, "worker", 1)
    until(
        lambda: len(log_of(platform, app, "worker").splitlines()) > 2, 30, "the worker writes to the log", 0.5
    )
    assert "app[worker.1]" in log_of(platform, app, "worker")


def test_express(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app, output = deployed(platform, make_repository("node-express"))
    assert "Node" in output
    answer = platform.get(app)
    assert answer.status == 200
    assert app in answer.text


def test_django_with_static_files_and_migration(
    platform: Platform, make_repository: Callable[..., Path]
) -> None:
    app, output = deployed(platform, make_repository("django-release"))
    assert "collectstatic" in output
    assert "Release command" in output
    assert "Applying" in output, "the output of the migration reaches the pusher"
    assert platform.get(app).status == 200
    page = platform.get(app).text
    start = page.index("/static/")
    link = page[start : page.index('"', start)]
    static = platform.get(app, link)
    assert static.status == 200, link
    release = platform.api("GET", f"/apps/{app}/releases/2").json()
    assert release["status"] == "succeeded"


def test_static_page(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app, output = deployed(platform, make_repository("static-site"))
    assert "tatic" in output
    answer = platform.get(app)
    assert answer.status == 200
    assert answer.headers.get("Content-Type", answer.headers.get("content-type", "")).startswith("text/html")
    assert platform.get(app, "/no-such-page").status == 404
    assert platform.get(app, "/.git/config").status in {403, 404}
    assert platform.get(app, "/../../etc/passwd").status in {400, 403, 404}


def test_worker_only(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app, _ = deployed(platform, make_repository("worker-only"))
    page = platform.get(app)
    assert page.status == 503
    assert "H14" in page.text
    scale(platform, app, "worker", 1)
    until(lambda: "app[worker.1]" in log_of(platform, app, "worker"), 30, "the worker writes to the log", 0.5)


def test_config_reaches_build_and_run(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app = platform.create_app()
    value = 'two\nlines, "quotes", $HOME `x` and ünïcödé ☃'
    assert platform.api("PATCH", f"/apps/{app}/config-vars", {"GREETING": value}).status == 200
    pushed = platform.git_push(make_repository(files=apps.plain("one")), app)
    assert pushed.code == 0, pushed.output
    assert platform.get(app, "/config").body.decode() == value
    environment = platform.get(app, "/env").text
    assert "('PORT', '8080')" in environment
    assert "('DYNO', 'web.1')" in environment


def test_request_headers_and_access_line(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app, _ = deployed(platform, make_repository(files=apps.plain("one")))
    answer: Answer = platform.get(app, "/hello?x=1", **{"X-Request-Id": "a-valid-request-id-0123456789"})
    assert answer.status == 200
    line = until(
        lambda: next((one for one in log_of(platform, app, "router").splitlines() if "/hello" in one), None),
        15,
        "the access line is in the app's log",
        0.3,
    )
    assert "request_id=a-valid-request-id-0123456789" in line
    for part in (
        "heroku[router]: at=info",
        "method=GET",
        'path="/hello?x=1"',
        "dyno=web.1",
        "status=200",
        "connect=",
    ):
        assert part in line


def test_one_off_process(platform: Platform, make_repository: Callable[..., Path]) -> None:
    app, _ = deployed(platform, make_repository(files=apps.plain("one")))
    started = platform.api(
        "POST", f"/apps/{app}/dynos", {"command": "echo one-off says $DYNO; exit 3", "attach": False}
    )
    assert started.status == 201, started.text
    name = started.json()["name"]
    until(lambda: f"one-off says {name}" in log_of(platform, app, name), 20, "its output is in the log", 0.3)
    until(lambda: "exited with status 3" in log_of(platform, app, name), 20, "its end is in the log", 0.3)


def test_other_branches_tags_force_and_clone(
    platform: Platform, make_repository: Callable[..., Path], tmp_path: Path
) -> None:
    folder = make_repository(files=apps.plain("one"))
    app, _ = deployed(platform, folder)
    git(folder, "tag", "v1")
    git(folder, "branch", "feature")
    assert platform.git_push(folder, app, "v1").code == 0
    other = platform.git_push(folder, app, "feature")
    assert other.code == 0
    assert "not deployed" in other.output
    git(folder, "checkout", "--quiet", "--orphan", "again")
    commit(folder, "rewritten", apps.plain("two"))
    assert platform.git_push(folder, app, "again:main").code != 0, "not a fast-forward"
    forced = platform.git_push(folder, app, "+again:main")
    assert forced.code == 0, forced.output
    assert platform.get(app).text.startswith("two")
    import subprocess

    subprocess.run(
        ["git", "clone", "--quiet", platform.git_url(app), str(tmp_path / "back")],
        env=platform.git_environ(),
        check=True,
        capture_output=True,
    )
    assert git(tmp_path / "back", "rev-parse", "HEAD") == git(folder, "rev-parse", "again")


def test_a_health_check_declared_in_the_code(
    platform: Platform, make_repository: Callable[..., Path]
) -> None:
    """The port is open at once; only when the path answers 200 is the release healthy."""
    files = apps.plain("one")
    files["server.py"] = (
        files["server.py"]
        .replace(
            "    def do_GET(self):\n",
            "    def do_GET(self):\n"
            "        if time.time() - BORN < 4:\n"
            "            return self.send_error(503)\n",
        )
        .replace("VERSION =", "BORN = time.time()\nVERSION =")
    )
    files["app.json"] = '{"healthchecks": {"web": [{"type": "startup", "path": "/health"}]}}'
    app, _ = deployed(platform, make_repository(files=files))
    assert platform.get(app).text.startswith("one"), "live means healthy, not merely listening"
    timings = platform.api("GET", f"/apps/{app}/deployments").json()[-1]["timings"]
    assert timings["boot"] >= 3
