"""What the API answers is what its OpenAPI document says."""

from __future__ import annotations

from typing import Any

import jsonschema
import pytest

from paas.controller.api.schema import openapi
from paas.controller.models import App, Build
from paas.controller.services.domains import add_domain

from .conftest import Api

pytestmark = pytest.mark.integration

PATHS = [
    "/account",
    "/account/rate-limits",
    "/apps",
    "/apps/{app}",
    "/apps/{app}/builds",
    "/apps/{app}/collaborators",
    "/apps/{app}/config-vars",
    "/apps/{app}/deployments",
    "/apps/{app}/domains",
    "/apps/{app}/dynos",
    "/apps/{app}/formation",
    "/apps/{app}/releases",
    "/dyno-sizes",
    "/hosts",
    "/oauth/authorizations",
    "/regions",
    "/stacks",
    "/users",
]


def nullable_as_json_schema(value: Any) -> Any:
    """OpenAPI 3.0 says `nullable: true` where JSON Schema has a union with null."""
    if isinstance(value, list):
        return [nullable_as_json_schema(one) for one in value]
    if not isinstance(value, dict):
        return value
    value = {key: nullable_as_json_schema(inner) for key, inner in value.items()}
    return {"anyOf": [value, {"type": "null"}]} if value.pop("nullable", False) else value


@pytest.mark.parametrize("path", PATHS)
def test_answers_fit_their_description(api: Api, deployed: App, path: str) -> None:
    api.user.is_admin = True
    api.user.save()
    add_domain(api.user, deployed, "www.example.com")
    Build.objects.create(app=deployed, user=api.user, source_file="", stack="host", timings={"queue": 0.1})
    document = nullable_as_json_schema(openapi())
    described = document["paths"][path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
    answer = api.get(path.replace("{app}", "shop"))
    assert answer.status == 200 and answer.body not in ([], None)
    jsonschema.validate(answer.body, {**described, "components": document["components"]})


def test_a_field_too_few_would_be_noticed(api: Api, deployed: App) -> None:
    document = nullable_as_json_schema(openapi())
    described = document["paths"]["/account"]["get"]["responses"]["200"]["content"]["application/json"][
        "schema"
    ]
    body = api.get("/account").body
    del body["email"]
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(body, {**described, "components": document["components"]})
