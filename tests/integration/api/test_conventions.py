"""Versions, credentials, bodies, errors, limits, ranges: what holds for every endpoint."""

from __future__ import annotations

import base64
from typing import Any

import pytest
from django.test import Client
from openapi_spec_validator import validate

from paas.controller.api import limits
from paas.controller.models import App, Token
from paas.controller.services.accounts import create_token
from paas.controller.services.apps import create_app

from .conftest import PASSWORD, Api

pytestmark = [pytest.mark.integration]


def basic(user: str, secret: str) -> str:
    return "Basic " + base64.b64encode(f"{user}:{secret}".encode()).decode()


@pytest.mark.parametrize("user", ["", "heroku", "ada@example.com"])
def test_a_token_is_accepted_as_the_password_of_basic_credentials(api: Api, user: str) -> None:
    assert api.get("/account", Authorization=basic(user, api.token)).body["email"] == "ada@example.com"


@pytest.mark.parametrize(
    "header", ["Bearer undefined", "Bearer ", "Basic !!!", "Digest x", basic("ada@example.com", PASSWORD), ""]
)
def test_other_credentials_get_a_401_as_json(api: Api, header: str) -> None:
    answer = api.get("/account", Authorization=header)
    assert answer.status == 401
    assert answer.body["id"] == "unauthorized"
    assert "Log in" in answer.body["message"]
    assert answer.headers["WWW-Authenticate"]


def test_an_expired_token_is_refused(api: Api) -> None:
    token, plain = create_token(api.user, expires_in=60)
    assert api.get("/account", Authorization=f"Bearer {plain}").status == 200
    Token.objects.filter(id=token.id).update(expires_at="2020-01-01T00:00:00Z")
    assert api.get("/account", Authorization=f"Bearer {plain}").status == 401


@pytest.mark.parametrize(
    ("accept", "status"),
    [
        ("", 200),
        ("*/*", 200),
        ("application/json", 200),
        ("application/vnd.heroku+json; version=3", 200),
        ("application/vnd.heroku+json; version=3.cedar-acm", 200),
        ("text/html, application/vnd.heroku+json;version=3", 200),
        ("application/vnd.heroku+json; version=2", 406),
        ("application/vnd.heroku+json; version=33", 406),
        ("application/vnd.heroku+json", 406),
        ("text/html", 406),
    ],
)
def test_version_3_is_served_and_no_other(api: Api, accept: str, status: int) -> None:
    answer = api.get("/account", Accept=accept)
    assert answer.status == status
    if status == 406:
        assert answer.body["id"] == "not_acceptable"


@pytest.mark.parametrize("body", ["{", "[1]", '"x"', "null", b"\xff\xfe", "[" * 100_000])
def test_a_body_that_is_no_json_object_is_a_400(api: Api, body: Any) -> None:
    answer = api.post("/apps", body)
    assert (answer.status, answer.body["id"]) == (400, "bad_request")
    assert "JSON" in answer.body["message"]


def test_a_huge_body_is_refused(api: Api) -> None:
    assert api.post("/apps", " " * (2 * 1024**2 + 2)).status == 413


def test_wrong_fields_are_a_422_that_names_them(api: Api, app: App) -> None:
    answer = api.patch("/apps/shop/formation", {"updates": [{"type": "web", "quantity": "lots"}]})
    assert (answer.status, answer.body["id"]) == (422, "invalid_params")
    assert "updates.0.quantity" in answer.body["message"]
    assert api.post("/apps/shop/log-sessions", {"lines": "many"}).status == 422


def test_unknown_paths_and_methods_are_json_too(api: Api) -> None:
    assert api.get("/apps/shop/nothing/here").body["id"] == "not_found"
    assert api.get("/pipelines/x").status == 404
    assert api.call("PUT", "/apps").body["id"] == "method_not_allowed"


def test_every_answer_has_an_id_of_its_request(api: Api) -> None:
    assert api.get("/account").headers["Request-Id"] != api.get("/account").headers["Request-Id"]


def test_a_failure_nobody_foresaw_is_a_500_without_details(
    api: Api, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("paas.controller.api.account.AccountSerializer.to_representation", lambda *a: 1 / 0)
    answer = api.get("/account")
    assert (answer.status, answer.body["id"]) == (500, "internal_error")
    assert "division" not in answer.body["message"]
    assert answer.headers["Request-Id"] in answer.body["message"]
    assert "ZeroDivisionError" in caplog.text


def test_calls_are_counted_per_token_and_refused_over_the_limit(
    api: Api, stranger: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(limits, "REQUESTS", limits.Limit("requests", 3, 3600))
    assert [api.get("/account").headers["RateLimit-Remaining"] for _ in range(3)] == ["2", "1", "0"]
    refused = api.get("/account")
    assert (refused.status, refused.body["id"]) == (429, "rate_limit")
    assert api.get("/account/rate-limits").body == {"remaining": 0}
    assert stranger.get("/account").status == 200


def test_counting_goes_on_without_redis(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_redis() -> Any:
        raise limits.RedisError("away")

    monkeypatch.setattr(limits, "client", no_redis)
    assert api.get("/account").headers["RateLimit-Remaining"] == "4499"
    assert api.get("/account").headers["RateLimit-Remaining"] == "4498"


@pytest.mark.parametrize(
    "scope", ["read", "write", "identity", "read-protected", "write-protected", "global"]
)
def test_a_token_can_do_what_its_scope_says(api: Api, app: App, scope: str) -> None:
    made = api.post("/oauth/authorizations", {"scope": [scope]})
    limited = Api(api.user, made.body["access_token"]["token"])
    results = {
        "account": limited.get("/account").status,
        "app": limited.get("/apps/shop").status,
        "config": limited.get("/apps/shop/config-vars").status,
        "change": limited.patch("/apps/shop", {"maintenance": True}).status,
        "secret": limited.patch("/apps/shop/config-vars", {"A": scope}).status,
        "tokens": limited.post("/oauth/authorizations", {}).status,
    }
    allowed = {name for name, status in results.items() if status in (200, 201)}
    refused = {status for status in results.values() if status not in (200, 201)}
    assert (
        allowed
        == {
            "identity": {"account"},
            "read": {"account", "app"},
            "write": {"account", "app", "change"},
            "read-protected": {"account", "app", "config"},
            "write-protected": {"account", "app", "config", "change", "secret"},
            "global": set(results),
        }[scope]
    )
    assert refused <= {403}


def test_lists_are_cut_into_pages_that_lead_to_the_next(api: Api) -> None:
    for name in ("aaa", "bbb", "ccc", "ddd", "eee"):
        create_app(api.user, name)
    seen, following = [], "name ..; max=2"
    while following:
        answer = api.get("/apps", Range=following)
        seen += [app["name"] for app in answer.body]
        following = answer.headers.get("Next-Range", "")
        assert answer.status == (206 if following else 200)
    assert seen == ["aaa", "bbb", "ccc", "ddd", "eee"]
    assert [a["name"] for a in api.get("/apps", Range="name ]ddd..bbb; order=desc").body] == ["ccc", "bbb"]
    assert [a["name"] for a in api.get("/apps", Range="name ddd..bbb; order=desc").body] == [
        "ddd",
        "ccc",
        "bbb",
    ]


@pytest.mark.parametrize(
    "header", ["id ..; max=1000;", "id ..; ;", "domain ..; ;", "name ..;max=5 , order=desc", " "]
)
def test_ranges_are_read_leniently(api: Api, app: App, header: str) -> None:
    assert [one["name"] for one in api.get("/apps", Range=header).body] == ["shop"]


@pytest.mark.parametrize("header", ["id", "id ..; max=none", "id ..; max=0", "id zzz..; max=3", "bytes=0-10"])
def test_a_range_that_makes_no_sense_is_a_416(api: Api, app: App, header: str) -> None:
    answer = api.get("/apps", Range=header)
    assert (answer.status, answer.body["id"]) == (416, "requested_range_not_satisfiable")


def test_a_range_on_a_change_is_ignored(api: Api) -> None:
    assert api.post("/apps", {"name": "shop"}, Range="id ..; max=1000").status == 201


def test_the_description_of_the_api_is_valid_and_made_without_a_warning(
    db: None, capsys: pytest.CaptureFixture
) -> None:
    from drf_spectacular.drainage import GENERATOR_STATS, reset_generator_stats

    from paas.controller.api.schema import openapi

    openapi.cache_clear()
    reset_generator_stats()
    document = openapi()
    assert not GENERATOR_STATS
    assert "warning" not in capsys.readouterr().err.lower()
    validate(document)
    operations = {(path, verb) for path, verbs in document["paths"].items() for verb in verbs}
    assert {
        ("/apps", "post"),
        ("/apps/{app}/config-vars", "patch"),
        ("/apps/{app}/releases", "post"),
    } <= operations
    served = Client().get("/schema.json")
    assert served.status_code == 200
    assert served.json()["paths"].keys() == document["paths"].keys()


def test_health_needs_no_token(db: None) -> None:
    answer = Client().get("/health")
    assert (answer.status_code, answer.json()) == (200, {"database": True, "redis": True})
