"""How an app is isolated, over the API."""

from __future__ import annotations

import pytest
from django.utils import timezone

from paas.controller.models import App, Host

from .conftest import Api

pytestmark = pytest.mark.integration

PATH = "/apps/shop/runtime"


@pytest.fixture(autouse=True)
def host(stack: object) -> Host:
    offer = {"runtimes": [{"name": "crun"}, {"name": "runc"}], "seccomp": ["mine"]}
    return Host.objects.create(name="able", url="https://127.0.0.1:1", offer=offer, seen_at=timezone.now())


def test_choose_show_and_go_back(api: Api, app: App) -> None:
    offered = {"runtimes": ["crun", "runc"], "seccomp": ["mine"], "problems": []}
    usual = {"runtime": "", "seccomp": "", "readonly": False, "offered": offered}
    assert api.get(PATH).body == usual
    answer = api.patch(PATH, {"runtime": "runc", "seccomp": "mine", "readonly": True})
    assert (answer.status, answer.body) == (
        200,
        usual | {"runtime": "runc", "seccomp": "mine", "readonly": True},
    )
    assert api.get("/apps/shop/releases/1/diff/2").body["sandbox"]["runtime"] == ["", "runc"]
    assert api.patch(PATH, {"runtime": None, "seccomp": None, "readonly": None}).body == usual


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"runtime": "runsc"}, "there are: crun, runc"),
        ({"runtime": 1}, "must be a name"),
        ({"readonly": "yes"}, "true or false"),
        ({"kernel": "x"}, "'kernel' is not one of"),
    ],
)
def test_refusals(api: Api, app: App, body: dict[str, object], words: str) -> None:
    answer = api.patch(PATH, body)
    assert answer.status == 422
    assert words in answer.body["message"]
    assert app.releases.count() == 1


def test_strangers_see_nothing(stranger: Api, app: App) -> None:
    assert stranger.get(PATH).status == 404
    assert stranger.patch(PATH, {"readonly": True}).status == 404
