"""`.paas/launch`: the environment of a process, and how signals reach it."""

import os
import signal
import subprocess
import sys
import time

import pytest

from paas.slugbuilder.buildpacks.node_shims import write_shims
from paas.slugbuilder.launcher import write_launcher

pytestmark = pytest.mark.integration

# Says it is ready, and needs half a second to end well.
GRACEFUL = """
import os, signal, sys, time
def stop(*_):
    time.sleep(0.5)
    os.write(1, b"ended well\\n")
    sys.exit(0)
signal.signal(signal.SIGTERM, stop)
os.write(1, b"ready\\n")  # print() cannot be interrupted by a handler that prints, too
while True:  # one long sleep would miss a signal that arrives just before it
    time.sleep(0.1)
"""


@pytest.fixture
def app(work):
    folder = work / "app"
    folder.mkdir()
    write_launcher(folder, 256)
    (folder / "graceful.py").write_text(GRACEFUL)
    return folder


def launch(app, command, **env):
    return subprocess.run(
        [str(app / ".paas" / "launch"), command], env={**os.environ, **env}, capture_output=True, text=True, timeout=30,
        stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip


def test_the_port_is_expanded_and_the_home_is_the_app(app):
    assert launch(app, "echo $PORT $HOME $PWD", PORT="5123").stdout.split() == ["5123", str(app), str(app)]


def test_it_can_be_called_like_a_shell(app):
    argv = [str(app / ".paas" / "launch"), "-c", "echo $PORT"]
    assert (
        subprocess.run(argv, env={**os.environ, "PORT": "1"}, capture_output=True, check=True).stdout
        == b"1\n"
    )


def test_profile_scripts_are_read(app):
    (app / ".profile.d").mkdir()
    (app / ".profile.d" / "a.sh").write_text("export FROM_D=1\n")
    (app / ".profile").write_text("export FROM_PROFILE=$FROM_D$FROM_D\n")
    assert launch(app, "echo $FROM_D $FROM_PROFILE").stdout == "1 11\n"


@pytest.mark.parametrize(
    ("env", "expected"),
    [
        ({"MEMORY_AVAILABLE": "512"}, {"1", "2"}),
        ({"MEMORY_AVAILABLE": "100"}, {"1"}),
        (
            {"MEMORY_AVAILABLE": "999999"},
            {str(os.cpu_count() * 2 + 1), str(len(os.sched_getaffinity(0)) * 2 + 1)},
        ),
        ({"MEMORY_AVAILABLE": "512", "WEB_CONCURRENCY": "7"}, {"7"}),
        ({"MEMORY_AVAILABLE": "", "WEB_CONCURRENCY": ""}, {""}),
    ],
)
def test_web_concurrency_follows_memory(app, env, expected):
    assert launch(app, "echo $WEB_CONCURRENCY", **env).stdout.strip() in expected


@pytest.mark.parametrize(
    ("command", "code"),
    [("exit 3", 3), ("true && exit 4", 4), ("false | exit 5", 5), ("nosuchcommand", 127), ("true", 0)],
)
def test_exit_codes(app, command, code):
    assert launch(app, command).returncode == code


@pytest.mark.parametrize(
    "command",
    [
        f"{sys.executable} graceful.py",
        f"FOO=1 {sys.executable} graceful.py",
        f"cd . && {sys.executable} graceful.py",
        f"(cd .; {sys.executable} graceful.py)",
        f"{sys.executable} graceful.py; echo never",
        f"bash -c '{sys.executable} graceful.py'",
    ],
)
def test_sigterm_reaches_the_app_and_its_end_is_waited_for(app, command):
    process = subprocess.Popen(
        [str(app / ".paas" / "launch"), command], stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True
    )
    with process:
        assert process.stdout.readline() == "ready\n"
        started = time.monotonic()
        process.send_signal(signal.SIGTERM)
        rest = process.stdout.read()
        process.wait(20)
    assert rest == "ended well\n"
    assert 0.4 < time.monotonic() - started < 15


def test_npm_start_becomes_the_app(app):
    write_shims(app)
    (app / "package.json").write_text(
        '{"scripts": {"start": "node app.js", "say": "echo", "prepared": "cat x", "preprepared": "echo 1 > x"}}'
    )
    (app / "app.js").write_text("process.on('SIGTERM', () => { console.log('ended well'); process.exit(0) });"
                                "console.log('pid', process.pid); setInterval(() => {}, 1000)")  # fmt: skip
    env = {**os.environ, "PATH": f"{app}/.paas/bin:{os.environ['PATH']}"}
    process = subprocess.Popen(
        [str(app / ".paas" / "launch"), "npm start"],
        env=env,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
    )
    with process:
        assert process.stdout.readline() == "> node app.js\n"
        assert process.stdout.readline() == f"pid {process.pid}\n"
        process.send_signal(signal.SIGTERM)
        assert process.stdout.read() == "ended well\n"
        assert process.wait(20) == 0
    said = launch(app, "npm run say -- \"it's\" 'a  b'", PATH=env["PATH"])
    assert said.stdout.splitlines()[-1] == "it's a  b"
    assert launch(app, "npm run prepared", PATH=env["PATH"]).stdout.splitlines()[-1] == "1"
    missing = launch(app, "npm run nothing", PATH=env["PATH"])
    assert missing.returncode == 1
    assert 'no script "nothing"' in missing.stderr
