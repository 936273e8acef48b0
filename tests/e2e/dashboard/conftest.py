"""The dashboard under its real server, with rows to show and a browser to look at them.

In: a machine with Redis and Chromium.  Out: `dashboard` (address, account), `page` (signed in); all of it goes again.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

ROOT = Path(__file__).parents[3]
CHROMIUM = os.environ.get("PAAS_TEST_CHROMIUM", "/usr/bin/chromium")


@dataclass(frozen=True)
class Dashboard:
    url: str
    email: str
    password: str
    running_build: str
    home: Path
    environment: dict[str, str] = field(repr=False)

    def manage(self, code: str) -> str:
        """Run Python in the platform's environment, as something that changes beside the browser."""
        program = f"import django; django.setup()\n{code}"
        done = subprocess.run(
            [sys.executable, "-c", program],
            cwd=ROOT,
            env=self.environment,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


@pytest.fixture(scope="session")
def dashboard(free_ports: Callable[[int], list[int]]) -> Iterator[Dashboard]:
    if not Path(CHROMIUM).exists() or not shutil.which("redis-server"):
        pytest.fail("chromium and redis-server are needed: script/setup test")
    (port,) = free_ports(1)
    with ExitStack() as stack:
        home = Path(tempfile.mkdtemp(prefix="p", dir="/tmp"))
        stack.callback(shutil.rmtree, home, ignore_errors=True)
        yield stack.enter_context(_running(home, port))


@contextmanager
def _running(home: Path, port: int) -> Iterator[Dashboard]:
    (home / "run").mkdir()
    (home / "static").mkdir()
    environment = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PAAS_", "REDIS_", "DATABASE_"))
    }
    environment |= {
        "PAAS_HOME": str(home),
        "PAAS_API_PORT": str(port),
        "PAAS_WEB_THREADS": "12",
        "DJANGO_SETTINGS_MODULE": "paas.settings",
    }
    with ExitStack() as stack:
        stack.enter_context(redis_in(home))
        run = {"cwd": ROOT, "env": environment, "check": True}
        subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], **run)  # type: ignore[call-overload]
        seed = [sys.executable, "-m", "tests.e2e.dashboard.seed"]
        seeded = json.loads(subprocess.run(seed, stdout=subprocess.PIPE, **run).stdout)  # type: ignore[call-overload]
        stack.enter_context(_gunicorn(port, environment))
        url = f"http://localhost:{port}"
        _await(lambda: urllib.request.urlopen(f"{url}/login", timeout=1).status == 200)
        yield Dashboard(url, home=home, environment=environment, **seeded)


@contextmanager
def redis_in(home: Path) -> Iterator[None]:
    path = home / "run" / "redis.sock"
    with _process(
        ["redis-server", "--port", "0", "--unixsocket", str(path), "--save", "", "--dir", str(home)], None
    ):
        _await(lambda: socket.socket(socket.AF_UNIX).connect(str(path)) is None)
        yield


@contextmanager
def _gunicorn(port: int, environment: dict[str, str]) -> Iterator[None]:
    arguments = [
        "--bind",
        f"127.0.0.1:{port}",
        "--worker-class",
        "gthread",
        "--threads",
        "12",
        "--no-control-socket",
    ]
    with _process([sys.executable, "-m", "gunicorn", "paas.wsgi:application", *arguments], environment):
        yield


@contextmanager
def _process(arguments: list[str], environment: dict[str, str] | None) -> Iterator[None]:
    process = subprocess.Popen(
        arguments, cwd=ROOT, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)


def _await(condition: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            if condition():
                return
        except OSError:
            if time.monotonic() > deadline:
                raise
        time.sleep(0.05)


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--headless=new"]
        )
        yield browser
        browser.close()


@pytest.fixture
def context(browser: Browser, dashboard: Dashboard) -> Iterator[BrowserContext]:
    context = browser.new_context(base_url=dashboard.url, viewport={"width": 1280, "height": 900})
    context.set_default_timeout(10_000)
    yield context
    context.close()


@pytest.fixture
def page(context: BrowserContext, dashboard: Dashboard) -> Iterator[Page]:
    """A page that has signed in. What the browser complained about fails the test: CSP violations are among it."""
    page = context.new_page()
    complaints = listen(page)
    sign_in(page, dashboard)
    yield page
    assert not complaints, complaints


def listen(page: Page) -> list[str]:
    complaints: list[str] = []

    def said(message: Any) -> None:
        expected = re.search(
            r"status of 4|Response Status Error Code 4|net::ERR_|htmx:(afterRequest|sendError)", message.text
        )
        if message.type == "error" and not expected:
            complaints.append(message.text)

    page.on("console", said)
    page.on("pageerror", lambda error: complaints.append(str(error)))
    return complaints


def sign_in(page: Page, dashboard: Dashboard) -> None:
    page.goto("/login")
    page.get_by_label("E-mail").fill(dashboard.email)
    page.get_by_label("Password").fill(dashboard.password)
    page.get_by_role("button", name="Sign in").click()
    page.wait_for_url(f"{dashboard.url}/")
