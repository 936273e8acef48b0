"""An app from a git server elsewhere: its hook deploys it, and app.json says what runs besides its processes."""

from __future__ import annotations

import hashlib
import hmac
import json
import re
from pathlib import Path

import pytest

from tests.e2e import apps
from tests.e2e.platform import Answer, Platform, request, until
from tests.e2e.test_examples import log_of
from tests.e2e.test_images import paas
from tests.source_server import serving

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(300)]

APP_JSON = {
    "formation": {"web": {"quantity": 2}, "worker": {"quantity": 1}},
    "scripts": {"postdeploy": "echo seeded by $DYNO", "dokku": {"predeploy": "echo warmed up"}},
    "cron": [{"command": "echo tidied by $DYNO of $HEROKU_APP_NAME", "schedule": "@yearly"}],
}
ONE_OFF = re.compile(r"\[((release|postdeploy|cron)\.\d+)\]")
PROCFILE = "web: python3 server.py\nworker: echo at work && exec sleep 1000\nrelease: echo migrated\n"


def files(version: str) -> dict[str, str]:
    return apps.plain(version, procfile=PROCFILE) | {"app.json": json.dumps(APP_JSON)}


def told(platform: Platform, path: str, secret: str, commit: str) -> Answer:
    """Send what GitHub sends after a push of `commit` to main."""
    body = json.dumps({"ref": "refs/heads/main", "after": commit}).encode()
    signature = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
    headers = {
        "Content-Type": "application/json",
        "X-GitHub-Event": "push",
        "X-GitHub-Delivery": commit,
        "X-Hub-Signature-256": f"sha256={signature}",
    }
    return request(platform.port("PAAS_API_PORT"), "POST", path, body, headers)


def deployed(platform: Platform, app: str, answer: Answer) -> None:
    """Wait until the build that a hook has started is live."""
    assert answer.status == 202, answer.text
    path = f"/apps/{app}/builds/{answer.json()['build']}"
    ended = until(
        lambda: (build := platform.api("GET", path).json())["status"] != "pending" and build,
        120,
        "the build ends",
        0.2,
    )
    assert ended["status"] == "succeeded", ended


def log(platform: Platform, app: str) -> str:
    return paas(platform, "logs", "-n", "1500", "-a", app).stdout


def one_offs(platform: Platform, app: str) -> dict[str, str]:
    """The names of the one-offs that the app's log tells of, by what started them."""
    return {kind: name for name, kind in ONE_OFF.findall(log(platform, app))}


def test_a_hook_deploys_and_app_json_says_the_rest(platform: Platform, tmp_path: Path) -> None:
    app = platform.create_app()
    with serving(tmp_path) as elsewhere:
        work = elsewhere.repository("shop", files("one"))
        commit = elsewhere.commit(work, {})
        connected = platform.api("PATCH", f"/apps/{app}/source", {"url": f"{elsewhere.url}/shop.git"})
        assert connected.status == 200, connected.text
        path = "/" + connected.json()["hook_url"].split("/", 3)[3]
        secret = connected.json()["secret"]

        forged = told(platform, path, "another secret", commit)
        assert (forged.status, forged.json()["id"]) == (401, "hook_unsigned")
        assert platform.api("GET", f"/apps/{app}/builds").json() == []

        deployed(platform, app, told(platform, path, secret, commit))
        served = until(lambda: (got := platform.get(app)).status == 200 and got, 60, "it serves", 0.2)
        assert served.text.startswith("one web.")
        formation = platform.api("GET", f"/apps/{app}/formation").json()
        assert {one["type"]: one["quantity"] for one in formation} == {"web": 2, "worker": 1}
        status = lambda: platform.api("GET", f"/apps/{app}/releases/2").json()["status"]  # noqa: E731
        until(lambda: status() == "succeeded", 60, "the release has succeeded", 0.2)
        until(lambda: "seeded by postdeploy." in log(platform, app), 60, "postdeploy ran", 0.5)
        names = one_offs(platform, app)
        said = log_of(platform, app, names["release"])
        assert said.index("warmed up") < said.index("migrated")
        assert f"app[{names['postdeploy']}]: seeded by {names['postdeploy']}" in log(platform, app)

        (entry,) = platform.api("GET", f"/apps/{app}/cron").json()
        run = paas(platform, "cron:run", entry["id"], "-a", app)
        assert run.stdout.startswith("Started cron."), run.stderr
        name = run.stdout.split()[1]
        tidied = f"app[{name}]: tidied by {name} of {app}"
        until(lambda: tidied in log_of(platform, app, name), 60, "its output is in the log", 0.5)

        again = elsewhere.commit(work, files("two"))
        deployed(platform, app, told(platform, path, secret, again))
        assert until(lambda: platform.get(app).text.startswith("two"), 60, "the new code serves", 0.2)
    assert log(platform, app).count(": seeded by") == 1, "once in an app's life"
    assert platform.api("DELETE", f"/apps/{app}").status == 200
