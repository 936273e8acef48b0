"""Egress rules over the API: who may, what is refused, and what hosts are told."""

from __future__ import annotations

import jsonschema
import pytest

from paas.controller.api.schema import openapi
from paas.controller.models import App, Event, Host
from paas.controller.selectors.events import describe
from paas.controller.selectors.wanted import wanted_state
from paas.controller.services.accounts import create_token
from runtime.model import Egress, parse_egress_rule

from .conftest import Api
from .test_schema import nullable_as_json_schema

pytestmark = pytest.mark.integration

EGRESS = "/apps/shop/egress"
FREE = {"policy": "allow", "rules": []}


def test_change_and_show_and_tell_the_hosts(api: Api, app: App) -> None:
    host = Host.objects.create(name="one", url="http://127.0.0.1:1")
    assert api.get(EGRESS).body == {"app": FREE, "build": FREE}
    rules = ["203.0.113.7/24:443", "*.Example.com:443,80", "203.0.113.0/24:443/tcp"]
    answer = api.patch(EGRESS, {"app": {"rules": rules}, "build": {"policy": "deny"}})
    listed = ["203.0.113.0/24:443/tcp", "*.example.com:80,443/tcp"]
    assert (answer.status, answer.body) == (
        200,
        {"app": {"policy": "list", "rules": listed}, "build": {"policy": "deny", "rules": []}},
    )
    wanted = wanted_state(host.id)
    assert wanted.generation > host.generation
    assert wanted.egress == {str(app.id): Egress(rules=tuple(map(parse_egress_rule, listed)))}
    assert wanted.build_egress == {str(app.id): Egress()}
    assert api.patch(EGRESS, {"app": {"policy": "allow"}}).body["app"] == FREE
    assert wanted_state(host.id).egress == {}
    assert app.releases.count() == 1, "no release: a rollback must not open what was closed"


def test_a_change_is_an_event_and_the_same_again_is_none(api: Api, app: App) -> None:
    for _ in range(2):
        api.patch(EGRESS, {"app": {"rules": ["192.0.2.1"]}})
    api.patch(EGRESS, {"build": {"policy": "deny"}})
    found = [
        describe(one.action, one.resource, one.data)
        for one in Event.objects.filter(action="app.egress").order_by("at")
    ]
    assert found == ["let the app go to 192.0.2.1/32", "let builds of the app go nowhere"]


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"app": {"rules": ["nowhere"]}}, "neither an IPv4 network nor a DNS name"),
        ({"app": {"rules": [f"192.0.2.{n}" for n in range(101)]}}, "more than the 100"),
        ({"app": {"rules": []}}, "with the policy deny"),
        ({"app": {"policy": "deny", "rules": ["192.0.2.1"]}}, "has no rules"),
        ({"app": {"policy": "perhaps"}}, "is no policy"),
        ({"app": {"rules": "192.0.2.1"}}, "array of strings"),
        ({"app": {}}, "must be an object"),
        ({"app": None}, "must be an object"),
        ({"run": {"policy": "deny"}}, "give app or build"),
        ({"build": {"policy": "deny"}, "app": {"rules": ["x"]}}, "neither"),
        ([], ""),
    ],
)
def test_refusals_say_why(api: Api, app: App, body: object, words: str) -> None:
    answer = api.patch(EGRESS, body)
    assert answer.status in (400, 422)
    assert words in answer.body["message"]
    assert api.get(EGRESS).body == {"app": FREE, "build": FREE}


def test_who_may(api: Api, stranger: Api, app: App) -> None:
    assert stranger.get(EGRESS).status == stranger.patch(EGRESS, {}).status == 404
    reader = Api(api.user, create_token(api.user, "reader", scope=("read",))[1])
    assert reader.get(EGRESS).status == 200
    assert reader.patch(EGRESS, {"app": {"policy": "deny"}}).status == 403


def test_the_answer_fits_its_description(api: Api, app: App) -> None:
    api.patch(EGRESS, {"app": {"rules": ["192.0.2.1:443"]}})
    document = nullable_as_json_schema(openapi())
    schema = document["paths"]["/apps/{app}/egress"]["get"]["responses"]["200"]["content"]["application/json"]
    jsonschema.validate(api.get(EGRESS).body, schema["schema"])
