"""Logs, outputs and uploads over real HTTP: what a proxy and a client see on the wire."""

from __future__ import annotations

import io
import json
import tarfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import urllib3

from paas.controller.api import log_sessions, streams
from paas.controller.models import App, Build, BuildLog, Release, Stack
from paas.controller.services import build_output
from paas.controller.services.apps import create_app
from paas.controller.services.logs import Line, write

from .conftest import Api, deploy, make_api

pytestmark = [pytest.mark.integration, pytest.mark.django_db(transaction=True)]


@pytest.fixture
def stack(transactional_db: None) -> Stack:
    return Stack.objects.create(name="host", is_default=True)


@pytest.fixture
def api(stack: Stack) -> Api:
    return make_api("ada@example.com")


@pytest.fixture
def http() -> Iterator[urllib3.PoolManager]:
    with urllib3.PoolManager(retries=False, timeout=urllib3.Timeout(connect=5, read=20)) as pool:
        yield pool


Call = Callable[..., Any]


@pytest.fixture
def call(live_server: Any, api: Api, http: urllib3.PoolManager) -> Call:
    def send(method: str, path: str, body: Any = None, **headers: str) -> Any:
        sent = {"Authorization": f"Bearer {api.token}", "Content-Type": "application/json", **headers}
        content = json.dumps(body) if body is not None else None
        response = http.request(method, live_server.url + path, body=content, headers=sent)
        return response.json()

    return send


def say(app: App, *texts: str, dyno: str = "web.1", source: str = "app") -> None:
    write(Line(str(app.id), source, dyno, text, time.time()) for text in texts)


def lines_of(response: urllib3.BaseHTTPResponse) -> Iterator[str]:
    """Yield lines as they arrive."""
    pending = b""
    for chunk in response.stream(1):
        pending += chunk
        while b"\n" in pending:
            line, _, pending = pending.partition(b"\n")
            yield line.decode()


def events_of(response: urllib3.BaseHTTPResponse) -> Iterator[dict[str, str]]:
    event: dict[str, str] = {}
    for line in lines_of(response):
        if line:
            name, _, value = line.partition(": ")
            event[name] = f"{event[name]}\n{value}" if name in event else value
        elif event:
            yield event
            event = {}


def test_a_log_without_tail_ends(api: Api, call: Call, http: urllib3.PoolManager) -> None:
    app = create_app(api.user, "shop")
    say(app, "one", "two")
    say(app, "State changed", dyno="worker.1")
    session = call("POST", "/apps/shop/log-sessions", {"lines": 2, "tail": False, "dyno": "web"})
    raw = http.request("GET", session["logplex_url"])
    assert raw.headers["Content-Type"].startswith("text/plain")
    assert [line.split(" ", 1)[1] for line in raw.data.decode().splitlines()] == [
        "app[web.1]: one",
        "app[web.1]: two",
    ]
    events = http.request(
        "GET", session["logplex_url"], headers={"Accept": "text/event-stream"}, preload_content=False
    )
    assert events.headers["Content-Type"].startswith("text/event-stream")
    with events:
        retry, first, second = events_of(events)
    assert int(retry["retry"]) > 0
    assert first["data"].endswith("app[web.1]: one") and first["id"] < second["id"]


def test_a_tail_goes_on_and_resumes_after_the_last_line_seen(
    api: Api, call: Call, http: urllib3.PoolManager
) -> None:
    app = create_app(api.user, "shop")
    say(app, "one")
    url = call("POST", "/apps/shop/log-sessions", {"tail": True, "source": "app", "dyno": "web.1"})[
        "logplex_url"
    ]
    headers = {"Accept": "text/event-stream"}
    with http.request("GET", url, headers=headers, preload_content=False) as response:
        events = events_of(response)
        next(events)
        assert next(events)["data"].endswith("one")
        say(app, "two\r\nwith three\rlines")
        second = next(events)
        assert second["data"].split("two")[1].split("\n") == ["", "with three", "lines"]
    say(app, "three", "four")
    resumed = http.request(
        "GET", url, headers={**headers, "Last-Event-ID": second["id"]}, preload_content=False
    )
    with resumed as response:
        events = events_of(response)
        next(events)
        assert [next(events)["data"].rpartition(" ")[2] for _ in range(2)] == ["three", "four"]


def test_a_quiet_tail_sends_heartbeats_and_ends_in_the_end(
    api: Api, call: Call, http: urllib3.PoolManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert log_sessions.HEARTBEAT_SECONDS < 15
    monkeypatch.setattr(log_sessions, "HEARTBEAT_SECONDS", 0.05)
    create_app(api.user, "shop")
    url = call("POST", "/apps/shop/log-sessions", {"tail": True, "source": "app", "dyno": "none"})[
        "logplex_url"
    ]
    with http.request("GET", url, headers={"Accept": "text/event-stream"}, preload_content=False) as response:
        lines = lines_of(response)
        assert next(lines).startswith("retry: ")
        assert next(line for line in lines if line).startswith(": ")
    entry = object()
    ended = list(log_sessions.until_quiet(iter([entry, None, None]), quiet_seconds=0))  # type: ignore[list-item]
    assert ended == [entry, None]


@pytest.mark.parametrize("change", ["forge", "expire", "revoke", "destroy", "id"])
def test_a_log_url_opens_nothing_else(
    api: Api,
    call: Call,
    http: urllib3.PoolManager,
    change: str,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    app = create_app(api.user, "shop")
    url, headers = call("POST", "/apps/shop/log-sessions", {})["logplex_url"], {}
    assert http.request("GET", url).status == 200
    match change:
        case "forge":
            url = url[:-2] + ("AA" if url[-2:] != "AA" else "BB")
        case "expire":
            monkeypatch.setattr(log_sessions, "SESSION_SECONDS", -1)
        case "revoke":
            api.user.is_active = False
            api.user.save()
        case "destroy":
            App.objects.filter(id=app.id).update(owner=make_api("eve@example.com").user)
        case "id":
            headers = {"Last-Event-ID": "$"}
    answer = http.request("GET", url, headers=headers)
    assert answer.status == (400 if change == "id" else 404)
    assert url.rpartition("/")[2] not in caplog.text
    assert answer.json()["id"] in ("bad_request", "not_found")
    assert http.request("POST", url).status == 405


def test_too_many_streams_are_refused_and_places_come_back(
    api: Api, call: Call, http: urllib3.PoolManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(streams, "_slots", threading.BoundedSemaphore(1))
    monkeypatch.setattr(log_sessions, "HEARTBEAT_SECONDS", 0.05)
    app = create_app(api.user, "shop")
    say(app, "one")
    url = call("POST", "/apps/shop/log-sessions", {"tail": True})["logplex_url"]
    with http.request("GET", url, headers={"Accept": "text/event-stream"}, preload_content=False) as response:
        next(lines_of(response))
        assert http.request("GET", url).status == 503
        response.drain_conn = lambda: None  # type: ignore[method-assign]
        response.close()
    deadline = time.monotonic() + 10
    once = call("POST", "/apps/shop/log-sessions", {})["logplex_url"]
    while http.request("GET", once).status != 200:
        assert time.monotonic() < deadline, "the place of a client that left did not come back"
        time.sleep(0.05)


def test_the_output_of_a_build_is_live_and_kept(api: Api, call: Call, http: urllib3.PoolManager) -> None:
    app = create_app(api.user, "shop")
    build = Build.objects.create(app=app, user=api.user, source_file="", stack="host")
    url = call("GET", f"/apps/shop/builds/{build.id}")["output_stream_url"]
    build_output.write(build.id, "-----> Python")
    with http.request("GET", url, preload_content=False) as response:
        lines = lines_of(response)
        assert next(lines) == "-----> Python"
        build_output.write(build.id, "-----> Done")
        assert next(lines) == "-----> Done"
        build_output.finish(build.id, ok=True)
        assert list(lines) == []
    BuildLog.objects.create(build=build, text="kept\nlines")
    Build.objects.filter(id=build.id).update(status="succeeded")
    assert http.request("GET", url).data == b"kept\nlines\n"
    result = call("GET", f"/apps/shop/builds/{build.id}/result")
    assert (result["exit_code"], [one["line"] for one in result["lines"]]) == (0, ["kept\n", "lines\n"])


def test_an_output_goes_on_at_any_byte(api: Api, call: Call, http: urllib3.PoolManager) -> None:
    """Cut at every byte, live and kept, what came before and what comes after are the whole."""
    app = create_app(api.user, "shop")
    build = Build.objects.create(app=app, user=api.user, source_file="", stack="host")
    url = call("GET", f"/apps/shop/builds/{build.id}")["output_stream_url"]
    lines = ("-----> Größe", "", "   50 %\r  100 %\x0b \u2028", "")
    whole = "".join(f"{line}\n" for line in lines).encode()
    build_output.write(build.id, *lines)
    with http.request("GET", f"{url}?offset=9", preload_content=False) as response:
        assert (response.status, response.read(3)) == (200, whole[9:12])
    with http.request("GET", url, headers={"Range": "bytes=8-"}, preload_content=False) as response:
        assert (response.status, response.headers["Content-Range"]) == (206, f"bytes 8-{2**63 - 1}/*")
        assert next(lines_of(response)).encode() == whole[8:].partition(b"\n")[0]
    build_output.finish(build.id, ok=True)
    assert http.request("GET", url).data == whole
    build_output.keep(build.id)
    Build.objects.filter(id=build.id).update(status="succeeded")
    for cut in range(len(whole) + 1):
        assert http.request("GET", f"{url}?offset={cut}").data == whole[cut:]
    kept = http.request("GET", url, headers={"Range": "bytes=5-"})
    said = kept.headers["Content-Range"]
    assert (kept.status, kept.data, said) == (206, whole[5:], f"bytes 5-{len(whole) - 1}/{len(whole)}")
    for headers in ({"Range": "bytes=0-3"}, {"Range": "id ..; max=3"}, {}):
        answered = http.request("GET", url, headers=headers)
        assert (answered.status, answered.data, answered.headers["Accept-Ranges"]) == (200, whole, "bytes")
    assert http.request("GET", f"{url}?offset={len(whole) + 1}").status == 416
    assert http.request("GET", url, headers={"Range": f"bytes={len(whole)}-"}).status == 416
    assert http.request("GET", f"{url}?offset=-1").status == 400


def test_the_output_of_a_release_phase(api: Api, call: Call, http: urllib3.PoolManager) -> None:
    app = create_app(api.user, "shop")
    deploy(app, api, "d" * 40)
    release = Release.objects.get(app=app, version=2)
    assert call("GET", "/apps/shop/releases/2")["output_stream_url"] is None
    release.slug.process_types = {"web": "x", "release": "migrate"}
    release.slug.save()
    url = call("GET", "/apps/shop/releases/2")["output_stream_url"]
    assert http.request("GET", url).status == 404
    Release.objects.filter(id=release.id).update(output="migrating\n")
    with http.request("GET", url, preload_content=False) as response:
        lines = lines_of(response)
        assert next(lines) == "migrating"
        Release.objects.filter(id=release.id).update(output="migrating\ndone\n", status="succeeded")
        assert list(lines) == ["done"]


def tarball(entries: dict[str, str], kind: bytes = tarfile.REGTYPE) -> bytes:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as tar:
        for name, content in entries.items():
            info = tarfile.TarInfo(name)
            info.type, info.size = kind, len(content) if kind == tarfile.REGTYPE else 0
            info.linkname = "" if kind == tarfile.REGTYPE else content
            tar.addfile(info, io.BytesIO(content.encode()) if kind == tarfile.REGTYPE else None)
    return buffer.getvalue()


def upload(call: Call, http: urllib3.PoolManager, content: bytes) -> str:
    blob = call("POST", "/apps/shop/sources")["source_blob"]
    assert http.request("PUT", blob["put_url"], body=content).status == 200
    assert http.request("GET", blob["get_url"]).data == content
    return str(blob["get_url"])


def test_an_uploaded_source_is_built(api: Api, call: Call, http: urllib3.PoolManager) -> None:
    create_app(api.user, "shop")
    url = upload(
        call, http, tarball({"shop-main/app.py": "print()", "shop-main/Procfile": "web: python app.py"})
    )
    build = call("POST", "/apps/shop/builds", {"source_blob": {"url": url, "version": "c0ffee"}})
    assert (build["status"], build["source_blob"]["version"]) == ("pending", "c0ffee"), build
    with tarfile.open(Path(Build.objects.get().source_file), "r:") as tar:
        assert sorted(tar.getnames()) == ["Procfile", "app.py"]
    busy = call("POST", "/apps/shop/builds", {"source_blob": {"url": url}})
    assert busy["id"] == "conflict"


@pytest.mark.parametrize(
    "content",
    [
        b"not an archive",
        tarball({"../escape": "x"}),
        tarball({"/etc/passwd": "x"}),
        tarball({"a/.git/hooks/post-receive": "x"}),
        tarball({"device": ""}, tarfile.CHRTYPE),
        tarball({"hard": "/etc/shadow"}, tarfile.LNKTYPE),
        tarball({"a": "x" * 4000, "b": "y" * 100})[:60],
    ],
    ids=["no archive", "parent folder", "absolute", "git folder", "device", "hard link", "cut off"],
)
def test_a_hostile_source_is_refused_and_leaves_nothing(
    api: Api, call: Call, http: urllib3.PoolManager, settings: Any, content: bytes
) -> None:
    create_app(api.user, "shop")
    url = upload(call, http, content)
    answer = call("POST", "/apps/shop/builds", {"source_blob": {"url": url}})
    assert answer["id"] == "source_invalid", answer
    assert not Build.objects.exists()
    assert not list((settings.PAAS.home / "uploads").glob("*.tar"))


def test_only_web_addresses_are_sources(
    api: Api, call: Call, http: urllib3.PoolManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    create_app(api.user, "shop")
    for url in ("file:///etc/passwd", "ext::sh -c id", "https://me:secret@example.com/app.tar", "x"):
        answer = call("POST", "/apps/shop/builds", {"source_blob": {"url": url}})
        assert answer["id"] == "source_forbidden", (url, answer)
    assert not Build.objects.exists()
    empty = call("POST", "/sources")["source_blob"]
    assert http.request("GET", empty["get_url"]).status == 404
    assert (
        call("POST", "/apps/shop/builds", {"source_blob": {"url": empty["get_url"]}})["id"]
        == "invalid_params"
    )
    monkeypatch.setattr("paas.controller.api.sources.SOURCE_LIMIT", 10)
    assert http.request("PUT", empty["put_url"], body=b"x" * 11).status == 413
