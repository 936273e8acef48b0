"""Containers from start to end: what they see, what stops them, and how that is reported."""

from __future__ import annotations

import os
import signal
import stat
import time
from pathlib import Path

import pytest

from runtime.container.port import Bind, EngineError, VolumeBind
from runtime.model import ExitReason, Limits, NetworkMode
from tests.system.runtime.conftest import Host

pytestmark = pytest.mark.system

MIB = 1024**2


def test_output_and_exit_code(host: Host) -> None:
    ended, output = host.shell("echo out; echo err >&2; exit 3")
    assert (ended.reason, ended.code) == (ExitReason.EXITED, 3)
    assert sorted(output.split()) == ["err", "out"]


def test_identity_environment_and_root(host: Host) -> None:
    script = "id -u; pwd; echo $HOME $PORT $SECRET; hostname; cat /etc/hosts; touch /app/a /tmp/b /run/c; touch /etc/d"
    ended, output = host.shell(script, env={"SECRET": "two\nlines ü"}, port=5000, hostname="web-1")
    lines = output.splitlines()
    assert ended.code == 1  # /etc belongs to root
    assert lines[:6] == ["1000", "/app", "/app 5000 two lines ü", "web-1", "127.0.0.1 localhost", lines[5]]
    assert any(line.endswith(" web-1") and line.startswith("10.") for line in lines)
    assert "cannot touch '/etc/d'" in output
    assert output.count("cannot touch") == 1


def test_secrets_are_in_no_command_line_and_no_readable_file(host: Host) -> None:
    inside = host.engine._mounts.call
    container = host.start("/bin/sleep", "60", env={"KEY": "s3cr3t-value"})
    try:
        for entry in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                assert b"s3cr3t-value" not in entry.read_bytes()
            except (FileNotFoundError, ProcessLookupError):
                continue
        config = host.engine._layout.bundle(container) / "config.json"
        assert stat.S_IMODE(inside(config.stat).st_mode) == 0o600
        assert stat.S_IMODE(inside(config.parent.parent.stat).st_mode) == 0o700
        assert "s3cr3t-value" in inside(config.read_text)
        record = host.config.home / "c" / container
        assert record.is_file() and b"s3cr3t-value" not in record.read_bytes(), "on disk"
    finally:
        host.engine.delete(container)
    assert not inside(config.exists)


def test_stdin_is_at_its_end(host: Host) -> None:
    ended, output = host.shell("cat; echo done")
    assert (ended.code, output) == (0, "done\n")


@pytest.mark.parametrize("terminal", [False, True])
def test_the_hosts_devices_keep_their_owner(host: Host, terminal: bool) -> None:
    host.shell("true", tty=terminal)
    assert Path("/dev/null").stat().st_uid == 0
    assert stat.S_IMODE(Path("/dev/null").stat().st_mode) == 0o666


@pytest.mark.parametrize(
    ("argv", "reason", "code"),
    [
        (("no-such-program",), ExitReason.NOT_FOUND, 127),
        (("/etc/passwd",), ExitReason.NOT_EXECUTABLE, 126),
        (("/bin/sh", "-c", "kill -SEGV $$"), ExitReason.SIGNALED, 139),
    ],
)
def test_exit_reasons(host: Host, argv: tuple[str, ...], reason: ExitReason, code: int) -> None:
    ended, _ = host.run(*argv)
    assert (ended.reason, ended.code) == (reason, code)
    assert ended.message


def test_a_container_that_cannot_be_made_says_why_and_leaves_nothing(host: Host) -> None:
    before = host.engine.list()
    inside_a_file = Bind(source="/etc/hostname", target="/etc/passwd/name")
    with pytest.raises(EngineError, match=r"could not be made: .*etc/passwd/name.*Not a directory"):
        host.engine.create(host.spec("true"), binds=(inside_a_file,))
    with pytest.raises(EngineError, match="does not exist on this host"):
        host.engine.create(host.spec("true"), binds=(Bind(source="/no/such/file", target="/x"),))
    assert host.engine.list() == before
    assert len(list((host.config.home / "c").iterdir())) == len(before)


def test_term_reaches_the_app_and_kill_ends_it(host: Host) -> None:
    polite = host.start("/bin/sh", "-c", "trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.1; done")
    deaf = host.start("/bin/sh", "-c", "trap '' TERM; echo up; while :; do sleep 0.1; done")
    try:
        _wait_for(lambda: "up" in host.output(polite) and "up" in host.output(deaf))
        for container in (polite, deaf):
            host.engine.kill(container, signal.SIGTERM)
        ended, output = host.finish(polite)
        assert (ended.reason, output) == (ExitReason.EXITED, "up\nbye\n")
        assert host.engine.wait(deaf, 0.3) is None
        host.engine.kill(deaf, signal.SIGKILL)
        ended, _ = host.finish(deaf)
        assert (ended.reason, ended.signal) == (ExitReason.SIGNALED, signal.SIGKILL)
    finally:
        host.engine.delete(polite)
        host.engine.delete(deaf)


def test_memory_limit(host: Host) -> None:
    limits = Limits(memory_bytes=48 * MIB, writable_bytes=16 * MIB)
    ended, _ = host.python("x = bytearray(200 * 1024**2)", limits=limits)
    assert ended.reason is ExitReason.OOM
    assert "48 MiB" in ended.message


def test_memory_limit_of_a_child_is_seen_too(host: Host) -> None:
    limits = Limits(memory_bytes=48 * MIB, writable_bytes=16 * MIB)
    child = "/usr/bin/python3 -c 'x = bytearray(200 * 1024**2)'"
    failed, _ = host.shell(f"{child}; exit 1", limits=limits)
    survived, _ = host.shell(f"{child}; exit 0", limits=limits)
    assert failed.reason is ExitReason.OOM
    assert survived.code == 0 or survived.reason is ExitReason.OOM  # v2 stops the whole group


def test_process_limit(host: Host) -> None:
    script = """
import os, time
made = 0
try:
    while made < 100:
        if os.fork() == 0:
            time.sleep(30)
            os._exit(0)
        made += 1
except OSError:
    print("stopped", made)
"""
    ended, output = host.python(script, limits=Limits(pids=20))
    assert output.startswith("stopped 1")
    assert ended.code == 0


def test_cpu_limit(host: Host) -> None:
    script = "from time import process_time, time\nt, p = time(), process_time()\n"
    script += "while process_time() < p + 0.3: pass\nprint(time() - t)"
    _, output = host.python(script, limits=Limits(cpu_cores=0.2))
    assert float(output) > 0.9


@pytest.mark.parametrize(
    ("path", "fits", "limits"),
    [
        ("/app/x", 8, Limits(writable_bytes=12 * MIB)),
        ("/tmp/x", 4, Limits(tmp_bytes=6 * MIB)),
        ("/dev/shm/x", 60, Limits()),
    ],
)
def test_disk_limits(host: Host, path: str, fits: int, limits: Limits) -> None:
    fill = f"head -c {fits}M /dev/zero > {path} && echo fits; head -c {fits + 8}M /dev/zero > {path}"
    ended, output = host.shell(fill, limits=limits)
    assert output.startswith("fits\n")
    assert "No space left on device" in output
    assert ended.code == 1


def test_scratch_on_disk_limits_and_disappears(host: Host) -> None:
    fill = "head -c 40M /dev/zero > /app/x && echo fits; head -c 20M /dev/zero > /tmp/y && echo tmp"
    fill += "; head -c 99M /dev/zero > /app/z"
    limits = Limits(memory_bytes=64 * MIB, writable_bytes=MIB, tmp_bytes=MIB)
    ended, output = host.shell(fill, limits=limits, create={"scratch_bytes": 96 * MIB})
    assert output.startswith("fits\ntmp\n")
    assert "No space left on device" in output
    assert ended.code == 1
    assert list((host.config.home / "scratch").iterdir()) == []


def test_binds_belong_to_the_app(host: Host, tmp_path: Path) -> None:
    source = tmp_path / "input"
    source.write_text("from the host")
    source.chmod(0o600)
    binds = (Bind(source=str(source), target="/app/in/file"),)
    ended, output = host.shell("cat /app/in/file; echo x > /app/in/file", create={"binds": binds})
    assert output.startswith("from the host")
    assert "Read-only file system" in output
    assert ended.code != 0
    assert source.read_text() == "from the host"


def test_volumes_persist_per_owner_and_have_a_hard_size(host: Host) -> None:
    volume = {"volumes": (VolumeBind(name="cache", target="/cache", size_bytes=24 * MIB),)}
    assert host.shell("echo kept > /cache/file", create=volume)[0].code == 0
    assert host.shell("cat /cache/file", create=volume)[1] == "kept\n"
    assert host.shell("ls /cache/file", create=volume, owner="app-2")[0].code == 2
    assert "No space left" in host.shell("head -c 64M /dev/zero > /cache/big", create=volume)[1]
    larger = {"volumes": (VolumeBind(name="cache", target="/cache", size_bytes=96 * MIB),)}
    ended, output = host.shell("head -c 64M /dev/zero > /cache/big && cat /cache/file", create=larger)
    assert (ended.code, output) == (0, "kept\n")


def test_a_damaged_volume_is_made_anew(host: Host) -> None:
    volume = {"volumes": (VolumeBind(name="fragile", target="/cache", size_bytes=16 * MIB),)}
    assert host.shell("echo kept > /cache/file", create=volume)[0].code == 0
    (file,) = (host.config.home / "volumes").glob("*/fragile.ext4")
    with file.open("r+b") as stream:
        stream.write(os.urandom(8 * MIB))
    ended, output = host.shell("ls /cache; touch /cache/new", create=volume)
    assert ended.code == 0
    assert "file" not in output


def test_read_file_stays_within_the_root(host: Host) -> None:
    script = "echo result > /tmp/result; echo long > /app/f; ln -s /etc/shadow /app/link; ln -s f /app/inner"
    script += "; mkfifo /app/p"
    container = host.start("/bin/sh", "-c", script)
    try:
        host.finish(container)
        read = host.engine.read_file
        assert read(container, "/tmp/result", 100) == b"result\n"
        assert read(container, "/app/inner", 2) == b"lo"
        for path in ("/app/link", "/app/none", "/app/p", "/app", "/../../../etc/shadow"):
            with pytest.raises(EngineError):
                read(container, path, 100)
    finally:
        host.engine.delete(container)


def test_usage_and_log_rotation(host: Host) -> None:
    container = host.start("/bin/sh", "-c", "echo first; sleep 30", limits=Limits())
    try:
        _wait_for(lambda: "first" in host.output(container))
        usage = host.engine.usage(container)
        assert usage is not None
        assert 0 < usage.memory_bytes < usage.memory_limit_bytes
        assert usage.pids >= 1
    finally:
        host.engine.delete(container)
    rotating = host.start("/bin/sh", "-c", "echo first; sleep 0.7; echo second")
    try:
        log = host.engine.log_path(rotating)
        _wait_for(lambda: "first" in host.output(rotating))
        log.rename(log.with_suffix(".old"))
        host.engine.reopen_log(rotating)
        host.finish(rotating)
        assert host.output(rotating) == "second\n"
    finally:
        host.engine.delete(rotating)
    assert log.exists()


def test_no_network_has_only_loopback(host: Host) -> None:
    script = (
        "import socket as s; print([n for _, n in s.if_nameindex()]); a = s.create_server(('127.0.0.1', 0))"
    )
    script += "; s.create_connection(a.getsockname())"
    ended, output = host.python(script, network=NetworkMode.NONE)
    assert (ended.code, output) == (0, "['lo']\n")


def test_without_user_namespaces(open_host) -> None:  # as on kernels that cannot idmap a squashfs
    host = open_host(user_namespaces=False)
    ended, output = host.shell("id -u; cat /proc/self/uid_map; touch /app/x; grep CapBnd /proc/self/status")
    assert ended.code == 0
    assert output.split()[:4] == ["1000", "0", "0", "4294967295"]
    assert "CapBnd:\t0000000000000000" in output


def _wait_for(condition, timeout: float = 10.0) -> None:
    deadline = time.monotonic() + timeout
    while not condition():
        assert time.monotonic() < deadline, "the condition was not met in time"
        time.sleep(0.02)
