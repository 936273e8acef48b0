"""The endpoints of agents and routers: for machines only, with bodies that are looked at field by field."""

from __future__ import annotations

import hashlib
import io
import json
import urllib.error
import urllib.parse
import urllib.request
from typing import Any

import msgspec
import pytest
from cryptography import x509
from django.test import Client

from paas.controller.internal import machines
from paas.controller.models import App, Build, Host, Instance, Router, User
from paas.controller.redis_connection import client as redis_client
from paas.controller.redis_connection import forget_connections
from paas.controller.selectors.images import image_path
from paas.controller.selectors.logs import recent
from paas.controller.services.builds import source_path
from paas.controller.services.formation import FormationUpdate, scale
from paas.router.table import AccessBatch, AccessLine
from paas.router.table import encode as encode_line
from runtime.enrolment import Renewed, RenewRequest
from runtime.model import LogBatch, LogLine, Stream, decode, encode
from runtime.signing import make_key, signing_request
from runtime.tls import host_identity, router_identity
from tests.integration.controller.machines import Platform, identity_for, post

pytestmark = pytest.mark.integration

PATHS = [
    "/internal/hosts/one/report", "/internal/hosts/one/logs", "/internal/routers/edge/report",
    "/internal/routers/edge/access", "/internal/images/sha256:" + "a" * 64,
    "/internal/sources/00000000-0000-0000-0000-000000000000",
]  # fmt: skip


def said(answer: Any) -> str:
    return str(json.loads(answer.content)["message"])


def test_without_the_certificate_of_a_machine_nothing_is_said(platform: Platform) -> None:
    for path in (*PATHS, "/internal/renew"):
        for identity in ("", "paas://controller", "paas://host/", "paas://user/ada", "paas://"):
            answer = post(path, b"{", identity)
            assert answer.status_code == 401, (path, identity)
            assert json.loads(answer.content)["id"] == "unauthorized"


def test_a_machine_speaks_for_itself_only(platform: Platform, make_host: Any) -> None:
    other, router = make_host("two").host, Router.objects.get(name="edge")
    for path, identity in (
        (PATHS[0], host_identity(str(other.id))),
        (PATHS[1], host_identity(str(other.id))),
        (PATHS[0], router_identity(str(router.id))),
        (PATHS[2], host_identity(str(other.id))),
        (PATHS[4], router_identity(str(router.id))),
    ):
        answer = post(path, msgspec.json.encode(platform.agent.report()), identity)
        assert (answer.status_code, json.loads(answer.content)["id"]) == (403, "forbidden"), path
    assert Host.objects.get(name="one").sequence == 0


def test_a_removed_machine_is_refused_at_once(platform: Platform) -> None:
    row = Host.objects.get(name="one")
    identity = host_identity(str(row.id))
    row.delete()
    for path in (f"/internal/hosts/{row.id}/report", PATHS[4], "/internal/renew"):
        answer = post(path, b"{}", identity)
        assert (answer.status_code, json.loads(answer.content)["id"]) == (403, "removed")
        assert "join it again" in said(answer)


def test_the_apis_own_port_knows_none_of_these_paths(platform: Platform) -> None:
    for path in PATHS:
        assert Client().post(path, b"{}", content_type="application/json").status_code == 404


def test_the_source_of_a_build_is_for_the_host_that_builds(
    platform: Platform, make_host: Any, app: App, user: User
) -> None:
    build = Build.objects.create(app=app, user=user, commit="a" * 40, host=platform.agent.host)
    source_path(build.id).parent.mkdir(parents=True, exist_ok=True)
    source_path(build.id).write_bytes(b"tar")
    path, other = f"/internal/sources/{build.id}", make_host("two").host
    assert post(path, b"", host_identity(str(platform.agent.host.id)), method="GET").status_code == 200
    assert post(path, b"", host_identity(str(other.id)), method="GET").status_code == 404


def test_renewal_certifies_the_sender_whatever_the_request_names(platform: Platform) -> None:
    identity, key = host_identity(str(platform.agent.host.id)), make_key()
    answer = post("/internal/renew", encode(RenewRequest(request=signing_request(key))), identity)
    renewed = decode(answer.content, Renewed)
    certificate = x509.load_pem_x509_certificate(renewed.certificate.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [one.value for one in names] == [identity]
    assert certificate.public_key() == key.public_key()
    for wrong in ("", "x", signing_request(key).replace("M", "N", 3)):
        answer = post("/internal/renew", encode(RenewRequest(request=wrong)), identity)
        assert answer.status_code == 422, wrong


HOST_REPORT: dict[str, Any] = {
    "host": "x", "sequence": 1, "generation": 0, "capacity": {"memory_bytes": 1, "cpus": 1},
    "instances": [{"id": "x", "state": "up", "since": 1.0}], "jobs": [{"id": "x", "state": "running", "since": 1.0}],
}  # fmt: skip


WRONG: list[tuple[str, object]] = [
    ("sequence", "1"), ("sequence", -1), ("sequence", 2**70), ("generation", 2**63), ("generation", None),
    ("capacity", 5), ("capacity.memory_bytes", -1), ("capacity.cpus", 2**40), ("instances", {}),
    ("instances.0.state", "flying"), ("instances.0.since", -1), ("instances.0.since", 1e300),
    ("instances.0.port", 0), ("instances.0.port", 70000), ("instances.0.address", "10.0.0.1\n"),
    ("instances.0.address", "x" * 300), ("instances.0.restarts", -1), ("instances.0.restarts", 2**31),
    ("instances.0.started_at", 1e18), ("instances.0.last_exit", {"reason": "whim"}), ("jobs.0.state", 5),
    ("jobs.0.since", 1e300), ("surprise", 1),
]  # fmt: skip


def test_a_host_report_that_is_wrong_is_refused_naming_the_field(platform: Platform) -> None:
    for field, value in WRONG:
        body = json.loads(json.dumps(HOST_REPORT))
        *way, last = field.split(".")
        spot = body
        for name in way:
            spot = spot[int(name)] if name.isdigit() else spot[name]
        spot[last] = value
        answer = post(PATHS[0], json.dumps(body).encode())
        assert answer.status_code == 400, (field, value)
        assert last in said(answer)
    assert Host.objects.get(name="one").sequence == 0


def test_what_is_no_such_document_is_refused(platform: Platform) -> None:
    bodies = [b"", b"{", b"null", b"5", b"\xff\xfe", b"[" * 100_000, b"{}" * 3, b'{"host": "\xed\xa0\x80"}']
    for path in PATHS[:4]:
        for body in bodies:
            answer = post(path, body)
            assert answer.status_code == 400, (path, body[:20])
            assert said(answer).startswith("The body is not a ")


def test_a_router_report_that_is_wrong_is_refused(platform: Platform) -> None:
    wrong = {"version": -1, "sequence": 2**70, "backends": [{"id": 5}], "router": None}
    for field, value in wrong.items():
        body = {"router": "x", "sequence": 1, "version": 1} | {field: value}
        answer = post(PATHS[2], json.dumps(body).encode())
        assert answer.status_code == 400
        assert field in said(answer)


def test_a_machine_that_nobody_registered(platform: Platform) -> None:
    for name in ("nobody", "00000000-0000-0000-0000-000000000000", "%00", "a%0Ab"):
        for path in (f"/internal/hosts/{name}/report", f"/internal/routers/{name}/access"):
            answer = post(path, b"{}", host_identity(str(platform.agent.host.id)))
            assert answer.status_code == 404
            assert "register it first" in said(answer)


def test_a_body_without_end_is_not_read_to_the_end(
    platform: Platform, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machines, "BODY_MAX", 100_000)
    answer = post(PATHS[0], b" " * 2_000_000)
    assert answer.status_code in (400, 413)
    assert "100000" in said(answer)


class TestOverHttp:
    """Through a real server: bodies with and without a length."""

    def call(self, url: str, body: Any, method: str = "POST", **headers: str) -> tuple[int, bytes]:
        sent = {"X-Test-Machine": identity_for(urllib.parse.urlsplit(url).path)} | headers
        request = urllib.request.Request(url, data=body, method=method, headers=sent)
        try:
            with urllib.request.urlopen(request, timeout=10) as response:
                return response.status, response.read()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read()

    def test_a_report_and_an_image(self, platform: Platform, live_server: Any) -> None:
        report = msgspec.json.encode(platform.agent.report())
        status, body = self.call(f"{live_server.url}/internal/hosts/one/report", report)
        assert (status, json.loads(body)) == (200, {"wanted": None})
        data = b"squash" * 100_000
        digest = f"sha256:{hashlib.sha256(data).hexdigest()}"
        url = f"{live_server.url}/internal/images/{digest}"
        assert self.call(url, None, "GET")[0] == 404
        assert self.call(url, data, "PUT")[0] == 201
        assert self.call(url, data, "PUT")[0] == 201
        assert self.call(url, None, "GET") == (200, data)
        assert self.call(url, None, "HEAD")[0] == 200
        assert self.call(url, io.BytesIO(data).read(10), "DELETE")[0] == 400

    def test_an_image_that_is_not_what_it_says(self, platform: Platform, live_server: Any) -> None:
        digest = f"sha256:{'0' * 64}"
        status, body = self.call(f"{live_server.url}/internal/images/{digest}", b"evil", "PUT")
        assert status == 422
        assert b"do not have the digest" in body
        assert list(image_path(digest).parent.iterdir()) == []

    def test_what_is_no_digest(self, platform: Platform, live_server: Any) -> None:
        for digest in ("sha256:../../secrets.json", "sha256:" + "A" * 64, "md5:" + "a" * 32, "x"):
            url = f"{live_server.url}/internal/images/{urllib.parse.quote(digest, safe='')}"
            assert self.call(url, None, "GET")[0] == 404


class TestLines:
    def test_lines_of_instances(self, platform: Platform, live: App) -> None:
        lines = (
            LogLine(cursor=1, at=1_700_000_000.25, stream=Stream.STDOUT, text="hello \0 ☃"),
            LogLine(cursor=2, at=1_700_000_001.0, stream=Stream.SYSTEM, text="Process exited with status 1"),
        )
        batch = LogBatch(container="x", owner=str(live.id), name="web.1", lines=lines)
        redis_client().flushall()
        assert post(PATHS[1], msgspec.json.encode([batch])).status_code == 202
        assert [one.format() for one in recent(live)] == [
            "2023-11-14T22:13:20.250000+00:00 app[web.1]: hello \0 ☃",
            "2023-11-14T22:13:21.000000+00:00 heroku[web.1]: Process exited with status 1",
        ]

    def test_a_host_speaks_only_of_apps_that_it_has_or_had(
        self, platform: Platform, live: App, make_host: Any
    ) -> None:
        two = host_identity(str(make_host("two").host.id))

        def send(identity: str, path: str, *batches: tuple[str, str]) -> list[str]:
            redis_client().flushall()
            line = {"cursor": 1, "at": 1.0, "stream": "stdout"}
            body = [
                {"container": "x", "owner": app, "name": "web.1", "lines": [{**line, "text": text}]}
                for app, text in batches
            ]
            assert post(path, json.dumps(body).encode(), identity).status_code == 202
            return [one.text for one in recent(live)]

        one = identity_for(PATHS[1])
        assert send(two, "/internal/hosts/two/logs", (str(live.id), "forged")) == []
        # What is not the host's does not fail what is.
        others = (("11111111-2222-3333-4444-555555555555", "of an app that is gone"), ("no app", "rubbish"))
        assert send(one, PATHS[1], *others, (str(live.id), "ours")) == ["ours"]
        scale(live.owner, live, [FormationUpdate("web", 0)])
        platform.settle()
        assert not Instance.objects.filter(app=live).exists()
        assert send(one, PATHS[1], (str(live.id), "last words")) == ["last words"]
        assert send(two, "/internal/hosts/two/logs", (str(live.id), "forged")) == []

    def test_a_time_beyond_the_calendar_is_refused(self, platform: Platform, live: App) -> None:
        line = {"cursor": 1, "at": 1e300, "stream": "stdout", "text": "x"}
        body = [{"container": "x", "owner": str(live.id), "name": "web.1", "lines": [line]}]
        answer = post(PATHS[1], json.dumps(body).encode())
        assert answer.status_code == 400
        assert "at" in said(answer)

    def test_access_lines(self, platform: Platform, live: App) -> None:
        line = AccessLine(
            app=str(live.id), at=1_700_000_000.0, text="at=info method=GET", status=200, service_ms=1, connect_ms=0,
            bytes=5, code="", dyno="web.1", host="shop.localhost", method="GET", path="/", request_id="x",
        )  # fmt: skip
        redis_client().flushall()
        assert post(PATHS[3], encode_line(AccessBatch(router="x", lines=(line,)))).status_code == 202
        assert recent(live)[0].format().endswith(" heroku[router]: at=info method=GET")

    def test_without_redis_they_are_to_be_sent_again(
        self, platform: Platform, live: App, settings: Any
    ) -> None:
        settings.REDIS_URL = f"unix://{settings.PAAS.home}/run/nobody.sock"
        forget_connections()
        batch = LogBatch(container="x", owner=str(live.id), name="web.1", lines=(
            LogLine(cursor=1, at=1.0, stream=Stream.STDOUT, text="x"),))  # fmt: skip
        answer = post(PATHS[1], msgspec.json.encode([batch]))
        assert answer.status_code == 503
        assert "send them again" in said(answer)


def test_a_report_without_redis_is_taken_all_the_same(platform: Platform, live: App, settings: Any) -> None:
    settings.REDIS_URL = f"unix://{settings.PAAS.home}/run/nobody.sock"
    forget_connections()
    platform.agent.set(str(Instance.objects.get(app=live).id), "crashed", last_exit=platform.agent.exit)  # type: ignore[arg-type]
    platform.agent.tell()
    assert Instance.objects.get(app=live).state == "crashed"
