"""What visitors get: routes, headers, request ids, pages and log lines, through a real HAProxy."""

from __future__ import annotations

import socket
import struct
import time

import pytest

from paas.router.client import RouterClient, RouterRefused
from paas.router.table import AppRoute, RouteTable

pytestmark = pytest.mark.integration


def test_routes_by_name_without_port_and_case(world):
    one, two = world.instance(), world.instance()
    world.route(world.app("one", one), world.app("two", two))
    assert world.get("one.localhost").json["instance"] == one.name
    assert world.get("TWO.localhost:8080").json["instance"] == two.name
    assert world.get("one.localhost", "/a%20b?c=d&e").json["target"] == "/a%20b?c=d&e"


def test_wildcards_yield_to_exact_names(world):
    one, two = world.instance(), world.instance()
    world.route(
        AppRoute(app="w", name="wild", hosts=("*.x.test",), backends=(world.backend(one),)),
        AppRoute(app="e", name="exact", hosts=("a.x.test",), backends=(world.backend(two),)),
    )
    assert world.get("b.x.test").json["instance"] == one.name
    assert world.get("a.x.test").json["instance"] == two.name
    assert world.get("x.test").status == 404


def test_unknown_host(world):
    world.route(world.app("one", world.instance()))
    reply = world.get("nobody.localhost")
    assert reply.status == 404
    assert "No such app" in reply.text
    assert world.get("").status == 404


def test_forwarded_headers(world):
    world.route(world.app("one", world.instance()))
    reply = world.get(
        "one.localhost", headers=[("X-Forwarded-For", "9.8.7.6"), ("Proxy", "evil"), ("Via", "1.0 x")]
    )
    assert reply.sent("x-forwarded-for") == ["9.8.7.6, 127.0.0.1"]
    assert reply.sent("x-forwarded-proto") == ["http"]
    assert reply.sent("x-forwarded-port") == [str(world.port)]
    assert reply.sent("via") == ["1.0 x", "1.1 paas-router"]
    assert reply.sent("proxy") == []
    assert abs(int(reply.sent("x-request-start")[0]) - time.time() * 1000) < 5000
    assert reply.headers["via"] == "1.1 paas-router"
    assert world.get("one.localhost").sent("x-forwarded-for") == ["127.0.0.1"]


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("01234567890123456789", True),
        ("a" * 200, True),
        ("AZaz09+/=-AZaz09+/=-", True),
        ("a" * 19, False),
        ("a" * 201, False),
        ("has spaces in it, and a comma", False),
        ('0123456789012345678"<script>', False),
    ],
)
def test_request_id_is_kept_when_valid(world, given, kept):
    world.route(world.app("one", world.instance()))
    sent = world.get("one.localhost", headers=[("X-Request-Id", given)]).sent("x-request-id")
    assert len(sent) == 1
    assert (sent[0] == given) is kept
    assert 20 <= len(sent[0]) <= 200


def test_access_line_of_a_good_request(world):
    instance = world.instance()
    world.route(world.app("one", world.backend(instance, name="web.7")))
    rid = "good-request-0123456789".replace("_", "-")
    world.get("one.localhost", '/x?y="z"', headers=[("X-Request-Id", rid), ("X-Forwarded-For", "1.2.3.4")])
    line = world.line(rid)
    assert line["text"].startswith(
        f'at=info method=GET path="/x?y=\\"z\\"" host=one.localhost request_id={rid} '
        'fwd="1.2.3.4, 127.0.0.1" dyno=web.7 connect='
    )
    assert line["text"].endswith(f"status=200 bytes={line['bytes']} protocol=http")
    assert (line["app"], line["status"], line["code"], line["dyno"]) == ("id-one", 200, "", "web.7")
    assert abs(line["at"] - time.time()) < 5
    assert world.controller.authorised == {"Bearer controller-token-0123456789"}


@pytest.mark.parametrize(
    ("more", "code", "level", "words"),
    [
        ({"empty": "no_web"}, "H14", "error", "paas ps:scale web=1 --app page"),
        ({"empty": "crashed"}, "H10", "error", "paas logs --tail --app page"),
        ({"empty": "no_release"}, "H81", "info", "git push paas main"),
        ({"empty": "starting"}, "H20", "error", "starting"),
        ({"maintenance": True}, "H80", "info", "maintenance"),
    ],
)
def test_pages_of_apps_that_cannot_answer(world, more, code, level, words):
    world.route(world.app("page", **more))
    reply = world.get("page.localhost")
    assert reply.status == 503
    assert words in reply.text
    assert f"Code {code}" in reply.text
    assert reply.headers["cache-control"] == "no-store"
    rid = reply.headers["x-request-id"]
    assert f"Request id: {rid}" in reply.text
    line = world.line(rid)
    assert line["code"] == code
    assert line["text"].startswith(f"at={level} code={code} desc=")
    assert "dyno= connect=0ms service=0ms status=503" in line["text"]
    assert world.get("page.localhost", method="HEAD").body == b""


def test_maintenance_on_and_off_with_instances(world):
    instance = world.instance()
    world.route(world.app("one", instance))
    assert world.get("one.localhost").status == 200
    world.route(
        world.app("one", instance, maintenance=True, maintenance_url="https://status.test/?a=1&b='2;3'")
    )
    reply = world.get("one.localhost")
    assert reply.status == 503
    assert 'src="https://status.test/?a=1&amp;b=&#x27;2;3&#x27;"' in reply.text
    world.route(world.app("one", instance))
    assert world.get("one.localhost").status == 200


def test_own_error_page(world):
    world.route(world.app("one", empty="no_web", error_url="https://errors.test/oops"))
    assert 'src="https://errors.test/oops"' in world.get("one.localhost").text


@pytest.mark.alone
@pytest.mark.parametrize(
    ("path", "code", "status", "words"),
    [
        ("/slow?3", "H12", 503, "took too long"),
        ("/close", "H13", 503, "closed the connection"),
    ],
)
def test_instance_that_does_not_answer(world, path, code, status, words):
    world.route(world.app("one", world.instance(), timeout_seconds=1))
    started = time.monotonic()
    reply = world.get("one.localhost", path)
    assert reply.status == status
    assert words in reply.text
    assert time.monotonic() - started < 2.5
    line = world.line(reply.headers["x-request-id"])
    assert (line["code"], line["status"], line["dyno"]) == (code, 503, "web.1")
    assert line["text"].startswith(f"at=error code={code} desc=")


def test_answers_of_the_app_pass_as_they_are(world):
    world.route(world.app("one", world.instance()))
    reply = world.get("one.localhost", "/own504")
    assert reply.status == 504
    assert reply.json["target"] == "/own504"


def test_interrupted_answer_is_h18(world):
    world.route(world.app("one", world.instance()))
    rid = "half-0123456789-0123456789"
    with pytest.raises(Exception, match="IncompleteRead"):
        world.get("one.localhost", "/half", headers=[("X-Request-Id", rid)])
    line = world.line(rid)
    assert (line["code"], line["status"]) == ("H18", 200)


def test_dead_instance_is_h21_then_h10(world, wait):
    instance = world.instance()
    world.route(world.app("one", instance))
    instance.kill()
    reply = world.get("one.localhost")
    assert reply.status == 503
    assert world.line(reply.headers["x-request-id"])["code"] in ("H21", "H10")
    wait(lambda: "has crashed" in world.get("one.localhost").text, 5)
    wait(lambda: not world.client.report().backends[0].up, 5)


def test_dead_instance_beside_a_living_one_costs_nobody(world):
    dead, alive = world.instance(), world.instance()
    world.route(world.app("one", dead, world.backend(alive, name="web.2")))
    dead.kill()
    assert {world.get("one.localhost").status for _ in range(40)} == {200}


def test_client_that_goes_away_is_h27(world, wait):
    instance = world.instance()
    world.route(world.app("one", instance))
    rid = "gone-0123456789-0123456789"
    with socket.create_connection(("127.0.0.1", world.port)) as client:
        client.sendall(
            f"GET /slow?0.6 HTTP/1.1\r\nHost: one.localhost\r\nX-Request-Id: {rid}\r\n\r\n".encode()
        )
        wait(lambda: instance.requests)
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))  # close with a reset
    line = world.line(rid)
    assert line["text"].startswith("at=info code=H27")
    assert line["status"] == 499


def test_websocket(world):
    world.route(world.app("one", world.instance()))
    with world.websocket("one.localhost") as socket_:
        socket_.sendall(b"hello")
        assert socket_.recv(100) == b"hello"


def test_posts_are_not_repeated(world):
    instance = world.instance()
    world.route(world.app("one", instance))
    assert world.get("one.localhost", "/close", method="POST").status == 503
    assert instance.requests == 1
    world.get("one.localhost", "/close")
    assert instance.requests > 2


def test_control_api_refuses(world):
    stranger = RouterClient(f"http://127.0.0.1:{world.control}", "not-the-token")
    with pytest.raises(RouterRefused, match="Bearer") as refused:
        stranger.report()
    assert refused.value.status == 401
    stranger.close()
    twice = RouteTable(
        version=world.version + 1,
        apps=(
            AppRoute(app="a", name="a", hosts=("same.test",)),
            AppRoute(app="b", name="b", hosts=("same.test",)),
        ),
    )
    with pytest.raises(RouterRefused, match=r"same\.test belongs to both a and b"):
        world.client.put_table(twice)


def test_older_tables_are_ignored(world):
    instance = world.instance()
    older = world.table(world.app("old", instance))
    world.route(world.app("new", instance))
    assert world.client.put_table(older).version == world.version
    assert world.get("new.localhost").status == 200
    assert world.get("old.localhost").status == 404


def test_metrics(world):
    import urllib3

    world.route(world.app("counted", world.instance()))
    rid = world.get("counted.localhost").sent("x-request-id")[0]
    world.line(rid)
    answer = urllib3.request(
        "GET",
        f"http://127.0.0.1:{world.control}/metrics",
        headers={"Authorization": "Bearer router-token-0123456789"},
    )
    text = answer.data.decode()
    assert 'paas_router_requests_total{app="counted",status="2xx"} 1' in text
    assert 'paas_router_request_duration_seconds_bucket{app="counted",le="+Inf"} 1' in text
    assert f"paas_router_table_version {world.version}" in text
    assert "paas_router_haproxy_up 1" in text
