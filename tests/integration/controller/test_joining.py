"""Hosts that join, drain and leave: tokens, certificates, subnets, and who is refused with which words."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from django.utils import timezone

from paas.controller.models import App, Event, Host, Instance, JoinToken, Router, User
from paas.controller.selectors.hosts import machine_url
from paas.controller.services import hosts, joining
from paas.controller.services.formation import FormationUpdate, scale
from paas.errors import Conflict, InvalidParams
from runtime.enrolment import Joined, JoinRequest
from runtime.enrolment import JoinToken as Secret
from runtime.model import InstanceState, decode, encode
from runtime.signing import Key, make_key, signing_request
from runtime.tls import host_identity, router_identity
from tests.integration.controller.machines import Platform, post

pytestmark = pytest.mark.integration
UP, STARTING = InstanceState.UP, InstanceState.STARTING
HOUR = timedelta(hours=1)


@pytest.fixture
def admin(user: User) -> User:
    user.is_admin = True
    user.save()
    return user


@pytest.fixture(autouse=True)
def no_routes(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """This machine's routes are its own matter."""
    monkeypatch.setattr(joining, "_own_routes", list)
    yield


def request_for(secret: Secret, key: Key, **changes: Any) -> JoinRequest:
    given: dict[str, Any] = {
        "secret": secret.secret,
        "name": "second",
        "address": "10.9.0.2",
        "agent_port": 5010,
        "agent_request": signing_request(key),
    }
    return JoinRequest(**(given | changes))


def ask(request: JoinRequest) -> Any:
    return post("/internal/join", encode(request), "")


def joined(request: JoinRequest) -> Joined:
    answer = ask(request)
    assert answer.status_code == 201, answer.content
    return decode(answer.content, Joined)


def told(answer: Any) -> tuple[int, str]:
    return answer.status_code, json.loads(answer.content)["message"]


def identities(pem: str) -> list[str]:
    certificate = x509.load_pem_x509_certificate(pem.encode())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    return [one.value for one in names]


def test_a_machine_joins_once_and_again_with_the_same_key(admin: User) -> None:
    _, secret = joining.make_token(admin, HOUR)
    key = make_key()
    first = joined(request_for(secret, key, routes=("10.200.0.0/18", "192.168.0.0/16")))
    host = Host.objects.get()
    assert (first.host, first.name, host.url) == (str(host.id), "second", "https://10.9.0.2:5010")
    assert first.subnet == host.subnet == "10.200.64.0/18"
    assert identities(first.agent_certificate) == [host_identity(first.host)]
    own = x509.load_pem_x509_certificate(first.authority.encode())
    assert own.fingerprint(hashes.SHA256()).hex() == secret.fingerprint
    again = joined(request_for(secret, key))
    assert (again.host, again.subnet, Host.objects.count()) == (first.host, first.subnet, 1)
    assert secret.secret not in repr(list(JoinToken.objects.values()))
    actions = list(Event.objects.order_by("at").values_list("action", flat=True))
    assert actions[-3:] == ["host.token", "host.join", "host.join"]


def test_a_token_is_good_for_one_machine_and_for_its_time(admin: User) -> None:
    _, secret = joining.make_token(admin, HOUR)
    joined(request_for(secret, make_key()))
    for refused in (
        request_for(secret, make_key(), name="third"),
        request_for(Secret.make(secret.fingerprint), make_key()),
    ):
        status, words = told(ask(refused))
        assert (status, "used by another machine" in words) == (403, True)
    row, late = joining.make_token(admin, HOUR)
    JoinToken.objects.filter(id=row.id).update(expires_at=timezone.now())
    assert told(ask(request_for(late, make_key(), name="third")))[0] == 403
    assert Host.objects.count() == 1


def test_guessing_is_slow(admin: User) -> None:
    _, secret = joining.make_token(admin, HOUR)
    for _ in range(10):
        assert told(ask(request_for(Secret.make("0" * 64), make_key())))[0] == 403
    status, words = told(ask(request_for(secret, make_key())))
    assert (status, words.startswith("Too many failed joins")) == (429, True)


def test_wrong_requests_are_refused_in_words(admin: User) -> None:
    Host.objects.create(name="taken", url="https://10.9.0.1:5010", subnet="10.200.0.0/18")
    _, secret = joining.make_token(admin, HOUR)
    for changes, status, words in (
        ({"name": "taken"}, 409, "There is a host taken already"),
        ({"name": "a b"}, 422, "cannot name a host"),
        ({"address": "far.example.org"}, 422, "no IPv4 address"),
        ({"agent_port": 70000}, 422, "no port"),
        ({"agent_request": "x"}, 422, "no certificate signing request"),
        ({"subnet": "10.200.3.0/24"}, 409, "overlaps 10.200.0.0/18"),
        ({"subnet": "8.8.0.0/16"}, 422, "private /28 or larger"),
        ({"subnet": "10.1.2.3"}, 422, "private /28 or larger"),
    ):
        answer = told(ask(request_for(secret, make_key(), **changes)))
        assert (answer[0], words in answer[1]) == (status, True), (changes, answer)
    assert Host.objects.count() == 1
    assert joined(request_for(secret, make_key(), subnet="10.42.0.0/20")).subnet == "10.42.0.0/20"


def test_a_named_host_comes_back_with_a_new_key(admin: User) -> None:
    host = Host.objects.create(name="lost", url="https://10.9.0.1:5010", subnet="10.200.0.0/18")
    _, secret = joining.make_token(admin, HOUR, "lost")
    back = joined(request_for(secret, make_key(), name="whatever"))
    assert (back.host, back.name, back.subnet) == (str(host.id), "lost", host.subnet)
    assert Host.objects.get().url == "https://10.9.0.2:5010"


def test_a_router_joins_with_its_host_and_leaves_with_it(admin: User, platform: Platform) -> None:
    _, secret = joining.make_token(admin, HOUR)
    request = request_for(secret, make_key(), router_port=5020, router_request=signing_request(make_key()))
    reply = joined(request)
    router = Router.objects.get(joined=True)
    assert (router.name, router.url) == ("second", "https://10.9.0.2:5020")
    assert identities(reply.router_certificate) == [router_identity(str(router.id))]
    hosts.remove(admin, Host.objects.get(name="second"))
    assert not Router.objects.filter(joined=True).exists()


def test_the_lifetime_of_a_token_has_bounds(admin: User) -> None:
    for lifetime in (timedelta(seconds=1), timedelta(days=8)):
        with pytest.raises(InvalidParams, match="between a minute and seven days"):
            joining.make_token(admin, lifetime)


def test_where_others_reach_the_controller(settings: Any) -> None:
    from dataclasses import replace

    paas = settings.PAAS
    settings.PAAS = replace(paas, machine_bind="127.0.0.1")
    with pytest.raises(Conflict, match="Set PAAS_MACHINE_BIND"):
        machine_url()
    settings.PAAS = replace(paas, machine_bind="10.0.0.5", machine_port=5444)
    assert machine_url() == "https://10.0.0.5:5444"
    settings.PAAS = replace(paas, machine_bind="0.0.0.0", public_host="paas.example.org", machine_port=5444)
    assert machine_url() == "https://paas.example.org:5444"


class TestLeaving:
    @pytest.fixture
    def wide(
        self, live: App, admin: User, platform: Platform, make_host: Callable[..., Any]
    ) -> tuple[App, Any]:
        """web=4 on two hosts; the second's agent."""
        second = make_host("two")
        scale(admin, live, [FormationUpdate("web", quantity=4)])
        settle(platform, second)
        assert Instance.objects.filter(host=second.host, wanted="run").count() == 2
        return live, second

    def test_a_drain_replaces_what_runs_there_before_it_goes(
        self, wide: tuple[App, Any], admin: User, platform: Platform
    ) -> None:
        app, second = wide
        there = set(platform.agent.instances)
        platform.agent.obeys = lambda spec: UP if spec.container.id in there else STARTING
        hosts.drain(admin, second.host)
        settle(platform, second)
        serving = Instance.objects.filter(app=app, process_type="web", state="up", wanted="run")
        assert serving.count() == 4  # the replacements are not up yet
        platform.agent.obeys = lambda spec: UP
        settle(platform, second)
        left = Instance.objects.filter(app=app, process_type="web")
        assert {one.host_id for one in left} == {platform.agent.host.id}
        assert left.count() == 4
        assert Host.objects.get(name="two").cordoned

    def test_without_room_elsewhere_everything_stays(
        self, wide: tuple[App, Any], admin: User, platform: Platform
    ) -> None:
        app, second = wide
        hosts.set_cordoned(admin, platform.agent.host, True)
        hosts.drain(admin, second.host)
        settle(platform, second)
        assert Instance.objects.filter(host=second.host, state="up", wanted="run").count() == 2
        hosts.set_cordoned(admin, platform.agent.host, False)
        settle(platform, second)
        assert not Instance.objects.filter(host=second.host).exists()

    def test_removal_is_refused_while_something_runs(
        self, wide: tuple[App, Any], admin: User, platform: Platform
    ) -> None:
        app, second = wide
        with pytest.raises(Conflict, match="still runs 2 instances"):
            hosts.remove(admin, second.host)
        with pytest.raises(InvalidParams, match="Say why"):
            hosts.check_reason(True, " ")
        hosts.remove(admin, second.host, reason="the disk is broken")
        assert second.wanted == {}  # it was told to stop what it had
        settle(platform)
        running = Instance.objects.filter(app=app, process_type="web", wanted="run", state="up")
        assert {one.host_id for one in running} == {platform.agent.host.id}
        assert running.count() == 4
        event = Event.objects.get(action="host.remove")
        assert event.data["reason"] == "the disk is broken"
        answer = post(f"/internal/hosts/{second.host.id}/report", b"{}", host_identity(str(second.host.id)))
        assert (answer.status_code, json.loads(answer.content)["id"]) == (403, "removed")

    def test_the_only_host_stays(self, admin: User, platform: Platform) -> None:
        with pytest.raises(Conflict, match="only host"):
            hosts.remove(admin, platform.agent.host, reason="so")


def settle(platform: Platform, *others: Any) -> None:
    """Let work, hosts and routers go on until nothing changes any more."""
    for _ in range(6):
        platform.settle()
        for agent in others:
            agent.obey()
            agent.tell()
    platform.settle()
