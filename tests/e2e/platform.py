"""A whole platform for tests, driven from outside only: its command, its API, git and HTTP.

In: a data folder and ports.  Out: a running platform, and nothing of it after `stop`.
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
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
START_DEADLINE = 300.0  # seconds; the first start of a data folder makes the stack
STOP_DEADLINE = 60.0
PORTS = (
    "PAAS_API_PORT",
    "PAAS_GIT_PORT",
    "PAAS_GATEWAY_PORT",
    "PAAS_MACHINE_PORT",
    "PAAS_ROUTER_PORT",
    "PAAS_AGENT_PORT",
    "PAAS_ROUTER_CONTROL_PORT",
)
LOG_LINES = 60


@dataclass(frozen=True)
class Answer:
    """An HTTP answer, read whole."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode(errors="replace")

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Pushed:
    """What `git push` said. `output` is its standard error, `remote:` lines included."""

    code: int
    output: str
    seconds: float


@dataclass
class Platform:
    """One platform. `environ` is all it is told; the credentials come from its ready file."""

    home: Path
    environ: dict[str, str]
    ready: dict[str, Any] = field(default_factory=dict)
    root: Path = ROOT  # the checkout that it runs from
    _process: subprocess.Popen[bytes] | None = None

    @classmethod
    def prepare(cls, ports: Sequence[int], **settings: str) -> Platform:
        """Choose the settings of a platform in a new folder; nothing is started."""
        home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
        inherited = {name: value for name, value in os.environ.items() if not name.startswith("PAAS_")}
        inherited.pop("DJANGO_SETTINGS_MODULE", None)
        chosen = {"PAAS_HOME": str(home), "PAAS_STACK": "host"} | dict(
            zip(PORTS, map(str, ports), strict=True)
        )
        return cls(home, inherited | chosen | settings)

    @property
    def token(self) -> str:
        return str(self.ready["token"])

    @property
    def domain(self) -> str:
        return str(self.ready["domain"])

    def port(self, name: str) -> int:
        return int(self.environ[name])

    # --- the process ------------------------------------------------------------------------------------------

    def supervisor(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """Run a supervisor command to its end."""
        command = (sys.executable, "-m", "paas.supervisor", *arguments)
        return subprocess.run(
            command,
            cwd=self.root,
            env=self.environ,
            text=True,
            capture_output=True,
            timeout=STOP_DEADLINE,
            check=False,
        )

    def start(self, *, sample: bool = False) -> None:
        """Start and wait until all is up. Raises AssertionError with the output when it does not come up."""
        ready_file = self.home / "ready.json"
        ready_file.unlink(missing_ok=True)
        options = () if sample else ("--no-sample",)
        command = (sys.executable, "-m", "paas.supervisor", "up", "--ready-file", str(ready_file), *options)
        with self.output.open("ab") as output:
            self._process = subprocess.Popen(
                command,
                cwd=self.root,
                env=self.environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
            )
        until(
            lambda: ready_file.exists() or self._process.poll() is not None,
            START_DEADLINE,
            "the platform is up",
        )
        if not ready_file.exists():
            raise AssertionError(f"The platform did not start:\n{self.logs()}")
        self.ready = json.loads(ready_file.read_text())

    @property
    def output(self) -> Path:
        return self.home / "up.log"

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def wait(self, timeout: float = STOP_DEADLINE) -> int:
        """Wait for the supervisor to end; its exit status."""
        assert self._process is not None
        return self._process.wait(timeout)

    def stop(self) -> None:
        """Stop what runs, also what a killed supervisor left. May be called twice."""
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
            try:
                self._process.wait(STOP_DEADLINE)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
        self.supervisor("down")  # removes what a killed supervisor left; says "not running" otherwise

    def remove(self) -> None:
        """Stop, and delete the data folder."""
        self.stop()
        shutil.rmtree(self.home, ignore_errors=True)

    def pid_of(self, name: str) -> int:
        """Return the process id of one process of the platform."""
        for line in self.supervisor("status").stdout.splitlines():
            words = line.split()
            if words and words[0] == name:
                return int(words[words.index("process") + 1])
        raise AssertionError(f"{name} does not run")

    def logs(self) -> str:
        """Return the end of every log, for a failure's report."""
        parts = []
        for log in (self.output, *sorted((self.home / "log").glob("*.log"))):
            if log.exists():
                lines = log.read_text(errors="replace").splitlines()[-LOG_LINES:]
                parts.append("\n".join([f"--- {log.name}", *lines]))
        return "\n".join(parts)

    # --- the API ----------------------------------------------------------------------------------------------

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """Call the API as the admin."""
        sent = {
            "Accept": "application/vnd.heroku+json; version=3",
            "Authorization": f"Bearer {self.token}",
            "Content-Type": "application/json",
        }
        content = json.dumps(body).encode() if body is not None else None
        return request(self.port("PAAS_API_PORT"), method, path, content, {**sent, **headers})

    def create_app(self, name: str | None = None) -> str:
        """Create an app and return its name."""
        answer = self.api("POST", "/apps", {"name": name} if name else {})
        assert answer.status in {200, 201}, answer.text
        return str(answer.json()["name"])

    # --- git and the apps -------------------------------------------------------------------------------------

    def git_environ(self) -> dict[str, str]:
        """Return git's environment: the token in a header, nothing of the developer's configuration."""
        basic = base64.b64encode(f"token:{self.token}".encode()).decode()
        return self.environ | {
            "GIT_TERMINAL_PROMPT": "0",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_GLOBAL": os.devnull,
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "http.extraHeader",
            "GIT_CONFIG_VALUE_0": f"Authorization: Basic {basic}",
        }

    def git_url(self, app: str) -> str:
        return f"http://127.0.0.1:{self.port('PAAS_GIT_PORT')}/{app}.git"

    def git_push(self, repository: Path, app: str, *arguments: str, timeout: float = 300) -> Pushed:
        """Push `main` (or what `arguments` say) of a repository to an app."""
        began = time.monotonic()
        done = subprocess.run(
            ("git", "push", self.git_url(app), *(arguments or ("main",))),
            cwd=repository,
            env=self.git_environ(),
            text=True,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
        return Pushed(done.returncode, done.stderr, time.monotonic() - began)

    def get(
        self, app: str, path: str = "/", method: str = "GET", body: bytes | None = None, **headers: str
    ) -> Answer:
        """Send a request to an app through the router."""
        sent = {"Host": f"{app}.{self.domain}", **headers}
        return request(self.port("PAAS_ROUTER_PORT"), method, path, body, sent)


def request(
    port: int,
    method: str,
    path: str,
    body: bytes | None,
    headers: Mapping[str, str],
    host: str = "127.0.0.1",
) -> Answer:
    """Send one HTTP request to a port of this machine, or of another host."""
    connection = http.client.HTTPConnection(host, port, timeout=60)
    try:
        connection.request(method, path, body, dict(headers))
        answer = connection.getresponse()
        return Answer(answer.status, dict(answer.getheaders()), answer.read())
    finally:
        connection.close()


def until(condition: Callable[[], Any], timeout: float, what: str, pause: float = 0.05) -> Any:
    """Wait until `condition` gives something true, and return it. Raises AssertionError after the deadline."""
    deadline = time.monotonic() + timeout
    while time.monotonic() < deadline:
        result = condition()
        if result:
            return result
        time.sleep(pause)
    raise AssertionError(f"Not within {timeout:.0f} s: {what}.")


def repository(folder: Path, source: Path | None = None, files: Mapping[str, str] | None = None) -> Path:
    """Make a git repository with one commit on `main` from a folder of files or from texts by path."""
    if source is not None:
        shutil.copytree(source, folder)
    folder.mkdir(parents=True, exist_ok=True)
    write_files(folder, files or {})
    git(folder, "init", "--quiet", "--initial-branch", "main")
    commit(folder, "First commit")
    return folder


def write_files(folder: Path, files: Mapping[str, str]) -> None:
    for name, text in files.items():
        file = folder / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)


def commit(folder: Path, message: str, files: Mapping[str, str] | None = None) -> str:
    """Commit everything in the folder, after changing `files`; the commit's id."""
    write_files(folder, files or {})
    git(folder, "add", "--all")
    git(folder, "-c", "user.name=Dev", "-c", "user.email=dev@localhost", "commit", "--quiet", "-m", message)
    return git(folder, "rev-parse", "HEAD")


def git(folder: Path, *arguments: str) -> str:
    """Run git without the developer's configuration; its output."""
    environ = os.environ | {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}
    done = subprocess.run(
        ("git", *arguments), cwd=folder, env=environ, check=True, text=True, capture_output=True
    )
    return done.stdout.strip()
