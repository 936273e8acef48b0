"""Hooks as GitHub, GitLab, Gitea, Forgejo and Bitbucket send them."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from collections.abc import Mapping

import pytest

from paas.sources.errors import SourceError
from paas.sources.hooks import Hook, read_hook

pytestmark = pytest.mark.unit

SECRET = "it's a secret"
COMMIT = "a" * 40
PUSH = json.dumps({"ref": "refs/heads/main", "after": COMMIT, "before": "b" * 40}).encode()


def signature(body: bytes, secret: str = SECRET) -> str:
    return hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()


def standard(body: bytes, at: float, secret: bytes = SECRET.encode()) -> dict[str, str]:
    made = hmac.new(secret, f"id1.{int(at)}.".encode() + body, hashlib.sha256).digest()
    signed = f"v1,{base64.b64encode(b'old').decode()} v1,{base64.b64encode(made).decode()}"
    return {"webhook-id": "id1", "webhook-timestamp": str(int(at)), "webhook-signature": signed}


VENDORS: dict[str, Mapping[str, str]] = {
    "github": {
        "x-github-event": "push",
        "x-github-delivery": "d1",
        "x-hub-signature-256": f"sha256={signature(PUSH)}",
    },
    "gitea": {
        "x-github-event": "push",
        "x-gitea-event": "push",
        "x-gitea-delivery": "d1",
        "x-gitea-signature": signature(PUSH),
    },
    "forgejo": {
        "x-forgejo-event": "push",
        "x-forgejo-delivery": "d1",
        "x-forgejo-signature": signature(PUSH),
    },
    "gitlab": {"x-gitlab-event": "Push Hook", "x-gitlab-event-uuid": "d1", "x-gitlab-token": SECRET},
    "gitlab, signed": {
        "x-gitlab-event": "Push Hook",
        "x-gitlab-event-uuid": "d1",
        **standard(PUSH, time.time()),
    },
}


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_push(vendor: str) -> None:
    found = read_hook(VENDORS[vendor], PUSH, SECRET)
    assert (found.kind, found.branch, found.commit, found.deleted) == ("push", "main", COMMIT, False)
    assert found.keys[0] in ("id:d1", "id:id1")
    assert found.keys[1].startswith("sha256:")


@pytest.mark.parametrize("vendor", VENDORS)
def test_another_secret_or_body_is_refused(vendor: str) -> None:
    with pytest.raises(SourceError) as raised:
        read_hook(VENDORS[vendor], PUSH, "another secret")
    assert raised.value.id == "hook_unsigned"
    if vendor != "gitlab":  # its token signs nothing
        with pytest.raises(SourceError):
            read_hook(VENDORS[vendor], PUSH + b" ", SECRET)


@pytest.mark.parametrize("vendor", VENDORS)
def test_no_signature_at_all(vendor: str) -> None:
    bare = {
        name: text
        for name, text in VENDORS[vendor].items()
        if "signature" not in name and "token" not in name
    }
    with pytest.raises(SourceError) as raised:
        read_hook(bare, PUSH, SECRET)
    assert raised.value.id == "hook_unsigned"


def test_a_signature_of_long_ago() -> None:
    headers = {"x-gitlab-event": "Push Hook", **standard(PUSH, time.time() - 3600)}
    with pytest.raises(SourceError):
        read_hook(headers, PUSH, SECRET)


@pytest.mark.parametrize("at", ["\u00b2", "9" * 400, "9" * 5000, "", "-1", "1e3"])
def test_a_time_that_is_no_number(at: str) -> None:
    headers = {"x-gitlab-event": "Push Hook", **standard(PUSH, time.time()), "webhook-timestamp": at}
    with pytest.raises(SourceError) as raised:
        read_hook(headers, PUSH, SECRET)
    assert raised.value.id == "hook_unsigned"


def test_a_standard_secret_is_base64() -> None:
    secret = "whsec_" + base64.b64encode(b"0123456789abcdef").decode()
    headers = {"x-gitlab-event": "Push Hook", **standard(PUSH, time.time(), b"0123456789abcdef")}
    assert read_hook(headers, PUSH, secret).commit == COMMIT


def test_bitbucket() -> None:
    body = json.dumps(
        {"push": {"changes": [{"new": {"type": "branch", "name": "main", "target": {"hash": COMMIT}}}]}}
    ).encode()
    headers = {
        "x-event-key": "repo:push",
        "x-request-uuid": "d1",
        "x-hub-signature": f"sha256={signature(body)}",
    }
    found = read_hook(headers, body, SECRET)
    assert (found.branch, found.commit) == ("main", COMMIT)


def github(event: str, said: object) -> Hook:
    body = json.dumps(said).encode()
    headers = {"x-github-event": event, "x-hub-signature-256": f"sha256={signature(body)}"}
    return read_hook(headers, body, SECRET)


def test_what_is_no_push_to_a_branch() -> None:
    assert github("ping", {"zen": "x"}).kind == "ping"
    assert github("issues", {}).kind == "other"
    assert github("push", {"ref": "refs/tags/v1", "after": COMMIT}).branch == ""
    gone = github("push", {"ref": "refs/heads/main", "after": "0" * 40, "deleted": True})
    assert gone.deleted
    assert gone.commit == ""
    assert github("push", {"ref": "refs/heads/main", "after": "../../x"}).commit == ""
    assert github("push", [1]).commit == ""


def test_what_is_no_hook() -> None:
    with pytest.raises(SourceError, match="no hook of GitHub"):
        read_hook({}, PUSH, SECRET)
    form = b"payload=%7B%7D"
    headers = {"x-github-event": "push", "x-hub-signature-256": f"sha256={signature(form)}"}
    with pytest.raises(SourceError, match="application/json"):
        read_hook(headers, form, SECRET)
