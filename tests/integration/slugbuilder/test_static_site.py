"""The static site over real HTTP: nginx through its start program, and our own server."""

import http.client
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import pytest

from .builds import EXAMPLES, build

pytestmark = pytest.mark.integration


def free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


@contextmanager
def serving(argv, port, cwd):
    process = subprocess.Popen(
        argv,
        cwd=cwd,
        env={**os.environ, "PORT": str(port)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        deadline = time.monotonic() + 20
        while True:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                break
            except OSError:
                assert process.poll() is None, "the server ended"
                assert time.monotonic() < deadline, "the server does not listen"
                time.sleep(0.02)
        yield process
    finally:
        if process.poll() is None:
            process.send_signal(signal.SIGTERM)
            try:
                process.wait(15)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@pytest.fixture
def site(work):
    source = work / "source"
    shutil.copytree(EXAMPLES / "static-site", source)
    (source / "public" / "big.css").write_text("a { color: red }\n" * 500)
    (source / "public" / "docs").mkdir()
    (source / "public" / "docs" / "index.html").write_text("docs")
    (source / "public" / ".env").write_text("SECRET=1")
    built = build(source, work)
    assert built.code == 0, built.output
    return work / "app"


def start_program(site):
    return [str(site / ".paas" / "launch"), str(site / ".paas" / "static_site" / "start")]


def own_server(site, port):
    return [sys.executable, "-E", "-s", "-m", "static_site.static_server", str(site / "public"), str(port)]


SERVERS = ["start", "own"]


@contextmanager
def server(kind, site):
    port = free_port()
    argv = start_program(site) if kind == "start" else own_server(site, port)
    with serving(argv, port, site / ".paas") as process:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        try:
            yield connection, process
        finally:
            connection.close()


def ask(connection, path, method="GET", **headers):
    connection.request(
        method, path, headers={name.replace("_", "-"): value for name, value in headers.items()}
    )
    response = connection.getresponse()
    return response, response.read()


@pytest.mark.parametrize("kind", SERVERS)
def test_a_site_over_one_connection(site, kind):
    with server(kind, site) as (connection, process):
        response, body = ask(connection, "/")
        assert (response.status, response.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
        assert b"Only files." in body
        response, body = ask(connection, "/big.css", Accept_Encoding="gzip")
        assert (response.status, response.headers["Content-Encoding"]) == (200, "gzip")
        assert len(body) < 500
        response, body = ask(connection, "/big.css")
        assert len(body) == 8500
        tag = response.headers["ETag"]
        response, body = ask(connection, "/big.css", If_None_Match=tag)
        assert (response.status, body) == (304, b"")
        response, body = ask(connection, "/big.css", "HEAD")
        assert (response.status, response.headers["Content-Length"], body) == (200, "8500", b"")
        response, body = ask(connection, "/big.css", Range="bytes=4-8")
        assert (response.status, body) == (206, b"color")
        assert response.headers["Content-Range"] == "bytes 4-8/8500"
        response, body = ask(connection, "/docs")
        assert (response.status, response.headers["Location"]) == (301, "/docs/")
        response, body = ask(connection, "/docs/")
        assert (response.status, body) == (200, b"docs")
        response, body = ask(connection, "/nothing-here")
        assert response.status == 404
        assert b"Not here." in body
        for hidden in ("/.env", "/%2eenv"):
            assert ask(connection, hidden)[0].status == 404
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize("kind", SERVERS)
@pytest.mark.parametrize(
    "path", ["/../Staticfile", "/%2e%2e/Staticfile", "/docs/..%2f..%2fStaticfile", "/%00"]
)
def test_no_way_out(site, kind, path):
    with server(kind, site) as (connection, _):
        response, body = ask(connection, path)
        assert response.status in (400, 404)
        assert b"root: public" not in body


def test_single_page_apps_answer_unknown_paths(work):
    source = work / "source"
    source.mkdir()
    (source / "index.html").write_text("the app")
    (source / "Staticfile").write_text("pushstate: enabled\n")
    assert build(source, work).code == 0
    app = work / "app"
    with server("start", app) as (connection, _):
        assert ask(connection, "/some/deep/path")[1] == b"the app"
        for hidden in ("/Staticfile", "/.paas/nginx.conf", "/.paas/launch"):
            assert b"root" not in ask(connection, hidden)[1]
    port = free_port()
    argv = [*own_server(app, port)[:-2], str(app), str(port), "--spa"]
    with serving(argv, port, app / ".paas"):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        assert ask(connection, "/some/deep/path")[1] == b"the app"
        assert ask(connection, "/.paas/launch")[0].status == 404
        connection.close()


def test_equal_size_and_time_is_still_a_change(site):
    """Slugs packed with all times zero must not answer 304 for another file of the same size."""
    for path in [*site.rglob("*"), site]:
        os.utime(path, (0, 0), follow_symlinks=False)
    with server("start", site) as (connection, _):
        response, _ = ask(connection, "/big.css")
        old = response.headers["ETag"]
        assert "Last-Modified" not in response.headers
        assert ask(connection, "/big.css", If_None_Match=old)[0].status == 304
    source = site.parent / "source"
    (source / "public" / "big.css").write_text("a { color: RED }\n" * 500)
    assert build(source, site.parent).code == 0
    for path in [*site.rglob("*"), site]:
        os.utime(path, (0, 0), follow_symlinks=False)
    with server("start", site) as (connection, _):
        response, body = ask(connection, "/big.css", If_None_Match=old)
        assert response.status == 200
        assert b"RED" in body


def test_broken_and_oversized_requests_get_an_answer(site):
    port = free_port()
    with serving(own_server(site, port), port, site / ".paas"):
        for request, status in (
            (b"nonsense\r\n\r\n", b"400"),
            (b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000 + b"\r\n\r\n", b"431"),
            (b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc", b"405"),
        ):
            with socket.create_connection(("127.0.0.1", port), 10) as client:
                client.sendall(request)
                assert client.recv(12) == b"HTTP/1.1 " + status


def test_the_server_is_copied_whole(site):
    names = {path.name for path in Path(site / ".paas" / "static_site").iterdir() if path.is_file()}
    assert {"start", "static_server.py", "static_reply.py", "media_types.py"} <= names
