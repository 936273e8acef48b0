"""Naming the buildpacks of an app, as at Heroku, and what the build job is told."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from paas.controller.api.schema import openapi
from paas.controller.models import App, Event
from paas.controller.services.buildpacks import builder_arguments

from .conftest import Answer, Api
from .test_schema import nullable_as_json_schema

pytestmark = pytest.mark.integration

PATH = "/apps/shop/buildpack-installations"
URL = "https://git.example.com/mine.git#v1"


def put(api: Api, *names: str) -> Answer:
    return api.call("PUT", PATH, {"updates": [{"buildpack": name} for name in names]}, Range="")


def test_a_list_in_order(api: Api, deployed: App) -> None:
    assert builder_arguments(deployed) == ()
    answer = put(api, "heroku/nodejs", URL, "./packs/mine/")
    assert answer.status == 200
    assert answer.body == [
        {"buildpack": {"name": "heroku/nodejs", "url": "urn:buildpack:heroku/nodejs"}, "ordinal": 0},
        {"buildpack": {"name": URL, "url": URL}, "ordinal": 1},
        {"buildpack": {"name": "./packs/mine", "url": "urn:buildpack:./packs/mine"}, "ordinal": 2},
    ]
    assert api.get(PATH).body == answer.body
    document: Any = nullable_as_json_schema(openapi())
    described = document["paths"]["/apps/{app}/buildpack-installations"]["put"]["responses"]["200"]
    schema = described["content"]["application/json"]["schema"]
    jsonschema.validate(answer.body, {**schema, "components": document["components"]})
    deployed.refresh_from_db()
    wanted = ("--buildpack=heroku/nodejs", f"--buildpack={URL}", "--buildpack=./packs/mine")
    assert builder_arguments(deployed) == wanted
    assert Event.objects.get(action="app.buildpacks").data["buildpacks"][1] == URL


def test_what_was_answered_can_be_sent_again(api: Api, deployed: App) -> None:
    for number, names in enumerate((("heroku/python", "./mine"), ("cnb:./mine", "cnb:https://h/x.git")), 1):
        urls = [one["buildpack"]["url"] for one in put(api, *names).body]
        assert [one["buildpack"]["url"] for one in put(api, *urls).body] == urls
        assert Event.objects.filter(action="app.buildpacks").count() == number


def test_an_empty_list_goes_back_to_detection(api: Api, deployed: App) -> None:
    put(api, "./mine")
    assert put(api).status == 200
    deployed.refresh_from_db()
    assert deployed.buildpacks == []


def test_a_wrong_setting_is_told(api: Api, deployed: App, settings: Any) -> None:
    settings.PAAS = replace(settings.PAAS, buildpack_schemes="gopher")
    answer = put(api, "./mine")
    assert answer.status == 422 and "PAAS_BUILDPACK_SCHEMES='gopher'" in answer.body["message"]
    settings.PAAS = replace(settings.PAAS, buildpack_schemes="https,file")
    assert put(api, "file:///mine.git").status == 200
    deployed.refresh_from_db()
    assert builder_arguments(deployed)[1:] == ("--buildpack-schemes=https,file",)


@pytest.mark.parametrize("name", ["heroku/cobol", "http://h/x.git", "https://me:word@h/x.git", "./../x", ""])
def test_what_cannot_be_used(api: Api, deployed: App, name: str) -> None:
    put(api, "./mine")
    answer = put(api, name)
    assert (answer.status, answer.body["id"]) == (422, "invalid_params")
    assert put(api, "./one", "./one").status == 422
    assert "cannot build an app together" in put(api, "./one", "cnb:./two").body["message"]
    deployed.refresh_from_db()
    assert deployed.buildpacks == ["./mine"]
