"""Networks over the API: who may, what is refused, and what hosts are told."""

from __future__ import annotations

import jsonschema
import pytest

from paas.controller.api.schema import openapi
from paas.controller.models import App, Collaborator, Event, Host
from paas.controller.selectors.events import describe
from paas.controller.selectors.wanted import wanted_state
from paas.controller.services.apps import create_app, destroy_app, rename_app
from runtime.model import Network, NetworkMember

from .conftest import Api
from .test_schema import nullable_as_json_schema

pytestmark = pytest.mark.integration


@pytest.fixture
def host(db: None) -> Host:
    return Host.objects.create(name="one", url="http://127.0.0.1:1")


def test_a_network_from_its_making_to_its_end(api: Api, app: App, host: Host) -> None:
    store = create_app(api.user, "store")
    made = api.post("/networks", {"name": "Back", "internal": True})
    assert (made.status, made.body["name"], made.body["members"]) == (201, "back", [])
    assert wanted_state(host.id).networks == ()
    assert api.post("/networks/back/members", {"app": "shop"}).body["aliases"] == ["shop"]
    answer = api.post("/networks/back/members", {"app": "store", "aliases": ["DB", "cache"]})
    assert (answer.status, answer.body["aliases"]) == (201, ["db", "cache"])
    (told,) = wanted_state(host.id).networks
    members = {
        NetworkMember(owner=str(app.id), aliases=("shop",)),
        NetworkMember(owner=str(store.id), aliases=("db", "cache")),
    }
    assert (told.name, told.internal, set(told.members)) == ("back", True, members)
    shown = api.get("/networks/back").body
    assert shown["members"] == [
        {"app": "shop", "aliases": ["shop"]},
        {"app": "store", "aliases": ["db", "cache"]},
    ]
    assert [one["name"] for one in api.get("/networks").body] == ["back"]
    refused = api.delete("/networks/back")
    assert (refused.status, refused.body["id"]) == (409, "conflict")
    assert "shop, store" in refused.body["message"]
    before = wanted_state(host.id).generation
    assert api.delete("/networks/back/members/shop").status == 200
    assert api.delete("/networks/back/members/shop").status == 404
    after = wanted_state(host.id)
    assert after.generation > before
    assert isinstance(after.networks[0], Network)
    assert [one.owner for one in after.networks[0].members] == [str(store.id)]
    assert api.delete("/networks/back/members/store").status == 200
    assert api.delete("/networks/back").status == 200
    assert api.get("/networks/back").status == 404
    said = [
        describe(one.action, one.resource, one.data)
        for one in Event.objects.filter(action__startswith="network.").order_by("at")
    ]
    assert said == [
        "made the network back",
        "joined the network back",
        "joined the network back",
        "left the network back",
        "left the network back",
        "destroyed the network back",
    ]
    assert app.releases.count() == 1, "no release is made"


def test_the_own_name_follows_the_app_and_goes_with_it(api: Api, app: App, host: Host) -> None:
    api.post("/networks", {"name": "back"})
    api.post("/networks/back/members", {"app": "shop"})
    rename_app(api.user, app, "market")
    assert wanted_state(host.id).networks[0].members[0].aliases == ("market",)
    destroy_app(api.user, app)
    assert wanted_state(host.id).networks == ()
    assert api.delete("/networks/back").status == 200


def test_only_who_works_on_all_apps_lets_another_in(api: Api, stranger: Api, app: App) -> None:
    hers = create_app(stranger.user, "hers")
    api.post("/networks", {"name": "back"})
    assert stranger.get("/networks/back").status == 404
    assert stranger.post("/networks/back/members", {"app": "hers"}).status == 404
    assert api.post("/networks/back/members", {"app": "hers"}).status == 404
    api.post("/networks/back/members", {"app": "shop"})
    Collaborator.objects.create(app=hers, user=api.user)
    assert api.post("/networks/back/members", {"app": "hers"}).status == 201
    seen = stranger.get("/networks/back").body
    assert (seen["members"], seen["hidden_members"]) == ([{"app": "hers", "aliases": ["hers"]}], 1)
    other = create_app(stranger.user, "other")
    refused = stranger.post("/networks/back/members", {"app": other.name})
    assert (refused.status, "do not work on" in refused.body["message"]) == (403, True)
    assert stranger.delete("/networks/back/members/shop").status == 404
    assert stranger.delete("/networks/back").status == 403
    assert stranger.delete("/networks/back/members/hers").status == 200


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"name": "9back"}, "is no name for a network"),
        ({"name": "a"}, "is no name for a network"),
        ({"name": "b.c"}, "is no name for a network"),
        ({"name": "shop"}, "shop is an app"),
        ({"name": "taken"}, "already"),
        ({}, "name"),
    ],
)
def test_bad_names_are_refused_in_words(api: Api, app: App, body: object, words: str) -> None:
    assert api.post("/networks", {"name": "taken"}).status == 201
    answer = api.post("/networks", body)
    assert answer.status in (400, 422)
    assert words in answer.body["message"]
    answer = api.post("/networks/taken/members", {"app": "shop", "aliases": ["no.dots"]})
    assert (answer.status, "cannot be an alias" in answer.body["message"]) == (422, True)


def test_the_answers_fit_their_description(api: Api, app: App) -> None:
    api.post("/networks", {"name": "back"})
    api.post("/networks/back/members", {"app": "shop"})
    document = nullable_as_json_schema(openapi())
    described = document["paths"]["/networks/{network}"]["get"]["responses"]["200"]
    schema = {**described["content"]["application/json"]["schema"], "components": document["components"]}
    jsonschema.validate(api.get("/networks/back").body, schema)
