"""The last step of a start: every deployed app serves again, and the sample is there.

In: the API and the router of a running platform.  Out: progress lines; exit status 1 when something is missing.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from paas.configuration import Configuration, configuration
from paas.supervisor.announce import SAMPLE
from paas.supervisor.layout import SOURCE, Layout, read_document, write_document

RETURN_DEADLINE = 60.0  # seconds for all apps together to serve again
POLL = 0.1
SAMPLE_SOURCE = SOURCE / "examples" / "python-web-worker"


class ApiError(Exception):
    """The API refused; the text is its own sentence."""


@dataclass(frozen=True)
class Api:
    """A minimal client: one connection per call, JSON in and out."""

    host: str
    port: int
    token: str

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> tuple[int, Any]:
        """Return status and parsed body. Raises OSError when the API does not answer."""
        connection = http.client.HTTPConnection(self.host, self.port, timeout=30)
        try:
            headers = {
                "Accept": "application/vnd.heroku+json; version=3",
                "Authorization": f"Bearer {self.token}",
                "Content-Type": "application/json",
            }
            connection.request(method, path, json.dumps(body) if body is not None else None, headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        try:
            return answer.status, json.loads(content or b"null")
        except ValueError:
            return answer.status, {"message": content[:200].decode(errors="replace")}

    def get(self, path: str) -> Any:
        """Return the body of a successful answer. Raises ApiError."""
        status, body = self.call("GET", path)
        if status >= 300:
            raise ApiError(f"GET {path} answered {status}: {body.get('message', body)}")
        return body


def main() -> int:
    settings = configuration()
    layout = Layout(settings.home)
    credentials = read_document(layout.credentials)
    api = Api(_local(settings), settings.api_port, credentials["token"])
    try:
        late = await_return(settings, api)
        if late:
            print(
                f"Not serving again after {RETURN_DEADLINE:.0f} s: {', '.join(late)}. See: paas logs -a NAME"
            )
        present = ensure_sample(settings, api) if "--sample" in sys.argv[1:] else _has_sample(api)
        if present != credentials.get("sample", False):
            write_document(layout.credentials, {**credentials, "sample": present})
        return 0 if not late else 1
    except (ApiError, OSError) as error:
        print(f"The apps could not be looked at: {error}")
        return 1


def await_return(settings: Configuration, api: Api) -> list[str]:
    """Wait until every app with a web process serves again; return the names of those that do not."""
    waiting = [app["name"] for app in api.get("/apps") if _should_serve(api, app)]
    if waiting:
        print(f"Waiting for {len(waiting)} deployed app{'s' if len(waiting) > 1 else ''} to serve again …")
    deadline = time.monotonic() + RETURN_DEADLINE
    while waiting and time.monotonic() < deadline:
        waiting = [name for name in waiting if not _serves(settings, api, name)]
        time.sleep(POLL if waiting else 0)
    return waiting


def _should_serve(api: Api, app: dict[str, Any]) -> bool:
    if app.get("maintenance") or not app.get("released_at"):
        return False
    return any(
        row["type"] == "web" and row["quantity"] > 0 for row in api.get(f"/apps/{app['name']}/formation")
    )


def _serves(settings: Configuration, api: Api, name: str) -> bool:
    """An instance is up, and the router reaches one: it has no 503 page of its own for the app."""
    dynos = api.get(f"/apps/{name}/dynos")
    if not any(dyno["type"] == "web" and dyno["state"] == "up" for dyno in dynos):
        return False
    return routed_status(settings, name) not in {None, 502, 503, 504}


def routed_status(settings: Configuration, name: str) -> int | None:
    """Return the status that the router answers for an app, None when it does not answer."""
    connection = http.client.HTTPConnection(_local(settings), settings.router_port, timeout=10)
    try:
        connection.request("GET", "/", headers={"Host": f"{name}.{settings.domain}"})
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _has_sample(api: Api) -> bool:
    status, app = api.call("GET", f"/apps/{SAMPLE}")
    return status == 200 and bool(app.get("released_at"))


def ensure_sample(settings: Configuration, api: Api) -> bool:
    """Deploy the bundled sample by a real push, unless it is there. Returns whether it is there now."""
    if _has_sample(api):
        return True
    status, body = api.call("POST", "/apps", {"name": SAMPLE})
    if status >= 300 and api.call("GET", f"/apps/{SAMPLE}")[0] != 200:
        print(f"The sample app could not be created: {body.get('message', body)}")
        return False
    print(f"Deploying the sample app ({SAMPLE_SOURCE.relative_to(SOURCE)}) by git push …")
    with tempfile.TemporaryDirectory(prefix="paas-sample-") as folder:
        repository = Path(folder) / SAMPLE
        shutil.copytree(SAMPLE_SOURCE, repository)
        pushed = _push(repository, f"http://{_local(settings)}:{settings.git_port}/{SAMPLE}.git", api.token)
    if not pushed:
        print(
            "The sample app could not be deployed; the lines above say why. The platform runs all the same."
        )
    return pushed


def _push(repository: Path, url: str, token: str) -> bool:
    basic = base64.b64encode(f"token:{token}".encode()).decode()
    # By environment: an argument would show the token in the process list.
    environ = os.environ | {
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_COUNT": "1",
        "GIT_CONFIG_KEY_0": "http.extraHeader",
        "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
    }
    identity = ("-c", "user.name=paas", "-c", "user.email=paas@localhost")
    for arguments in (
        ("init", "--quiet", "--initial-branch", "main"),
        ("add", "--all", "--force"),
        (*identity, "commit", "--quiet", "--message", "Sample app"),
        ("push", url, "main"),
    ):
        if subprocess.run(("git", *arguments), cwd=repository, env=environ, check=False).returncode:
            return False
    return True


def _local(settings: Configuration) -> str:
    return "127.0.0.1" if settings.bind in {"0.0.0.0", ""} else settings.bind


if __name__ == "__main__":
    sys.exit(main())
