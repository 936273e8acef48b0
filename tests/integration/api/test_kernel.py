"""Kernel parameters over the API."""

from __future__ import annotations

import jsonschema
import pytest

from paas.controller.api.schema import openapi
from paas.controller.models import App
from paas.controller.services.accounts import create_token

from .conftest import Api
from .test_schema import nullable_as_json_schema

pytestmark = pytest.mark.integration

KERNEL = "/apps/shop/kernel"


def test_set_show_and_unset(api: Api, app: App) -> None:
    assert api.get(KERNEL).body == {"sysctls": {}, "ulimits": {}}
    answer = api.patch(
        KERNEL,
        {"sysctls": {"net.core.somaxconn": 4096}, "ulimits": {"nofile": "1024:65536", "nproc": 500}},
    )
    assert (answer.status, answer.body) == (
        200,
        {"sysctls": {"net.core.somaxconn": "4096"}, "ulimits": {"nofile": "1024:65536", "nproc": "500"}},
    )
    assert api.get(KERNEL).body == answer.body
    answer = api.patch(KERNEL, {"sysctls": {"net.core.somaxconn": None}, "ulimits": {"nproc": None}})
    assert answer.body == {"sysctls": {}, "ulimits": {"nofile": "1024:65536"}}
    newest = api.get("/apps/shop/releases", Range="version ..; order=desc, max=1").body[0]
    assert (newest["version"], newest["kind"]) == (3, "kernel")
    assert newest["description"] == "Unset kernel parameters net.core.somaxconn, nproc"
    assert api.get("/apps/shop/releases/1/diff/3").body["kernel"] == {"nofile": ["", "1024:65536"]}


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"sysctls": {"kernel.hostname": "x"}}, "cannot be set for a container"),
        ({"sysctls": {"net.core.somaxconn": "x"}}, "one whole number"),
        ({"sysctls": {"net.core.somaxconn": True}}, "must be a string or a number"),
        ({"sysctls": {"net.core.somaxconn": 1.5}}, "must be a string or a number"),
        ({"sysctls": {"net.core.somaxconn": ["1"]}}, "must be a string or a number"),
        ({"sysctls": ["net.core.somaxconn"]}, "must be an object"),
        ({"sysctls": None}, "must be an object"),
        ({"ulimits": {"rtprio": 1}}, "Allowed are"),
        ({"ulimits": {"nofile": -1}}, "N, SOFT:HARD"),
        ({"net.core.somaxconn": "1"}, "give sysctls or ulimits"),
        ([], ""),
    ],
)
def test_refusals_say_why(api: Api, app: App, body: object, words: str) -> None:
    answer = api.patch(KERNEL, body)
    assert answer.status in (400, 422)
    assert words in answer.body["message"]
    assert app.releases.count() == 1


def test_who_may(api: Api, stranger: Api, app: App) -> None:
    assert stranger.get(KERNEL).status == stranger.patch(KERNEL, {}).status == 404
    reader = Api(api.user, create_token(api.user, "reader", scope=("read",))[1])
    assert reader.get(KERNEL).status == 200
    assert reader.patch(KERNEL, {"sysctls": {"net.core.somaxconn": "1"}}).status == 403
    assert api.patch(KERNEL, {}).status == 200
    assert app.releases.count() == 1


def test_the_answer_fits_its_description(api: Api, app: App) -> None:
    api.patch(KERNEL, {"sysctls": {"net.core.somaxconn": "4096"}})
    document = nullable_as_json_schema(openapi())
    described = document["paths"]["/apps/{app}/kernel"]
    schema = described["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    jsonschema.validate(api.get(KERNEL).body, schema)
    sent = described["patch"]["requestBody"]["content"]["application/json"]["schema"]
    jsonschema.validate({"sysctls": {"a": None, "b": "1"}, "ulimits": {"nofile": 1}}, sent)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate({"other": {}}, sent)
