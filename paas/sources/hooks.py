"""Hooks of git servers: who speaks, whether it is them, and what they say.

In: headers and the raw body of a request, the secret.  Out: a `Hook`, or SourceError. Signatures are compared in
constant time, and nothing of a body is read before its signature is known to be right.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import hmac
import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from paas.sources.errors import SourceError

ZERO = "0" * 40
SKEW = 300.0  # seconds that a signed time may be off
BRANCH = "refs/heads/"
HEX = frozenset("0123456789abcdef")
DIGITS = re.compile(r"[0-9]{1,12}")


@dataclass(frozen=True)
class Hook:
    """`kind`: push, ping, or other. `keys`: this delivery's id and a digest of what it said; either one seen before
    makes it a repetition."""

    vendor: str
    kind: str
    keys: tuple[str, ...]
    branch: str = ""
    commit: str = ""
    deleted: bool = False


def read_hook(headers: Mapping[str, str], body: bytes, secret: str) -> Hook:
    """Check and read a request. `headers`: lower-case names. Raises SourceError with id `hook_unsigned`."""
    vendor, event, delivery = _vendor(headers)
    if not CHECKS[vendor](headers, body, secret.encode()):
        raise SourceError(
            "The hook is not signed with this app's secret: copy it again from `paas source:hook`.",
            id="hook_unsigned",
        )
    digest = hashlib.sha256(body).hexdigest()
    keys = (f"id:{delivery[:70]}",) if delivery else ()
    kind = {"push": "push", "ping": "ping", "Push Hook": "push", "repo:push": "push"}.get(event, "other")
    kind = "ping" if event == "diagnostics:ping" else kind
    if kind != "push":
        return Hook(vendor, kind, keys)
    branch, commit, deleted = _pushed(vendor, _document(body))
    return Hook(vendor, "push", (*keys, f"sha256:{digest}"), branch, commit, deleted)


def _vendor(headers: Mapping[str, str]) -> tuple[str, str, str]:
    """Return whose hook it is, its event and its delivery's id. Gitea and Forgejo also send GitHub's headers."""
    for name in ("forgejo", "gitea", "gogs"):
        if event := headers.get(f"x-{name}-event"):
            return "gitea", event, headers.get(f"x-{name}-delivery", "")
    if event := headers.get("x-github-event"):
        return "github", event, headers.get("x-github-delivery", "")
    if event := headers.get("x-gitlab-event"):
        id_ = (
            headers.get("idempotency-key")
            or headers.get("webhook-id")
            or headers.get("x-gitlab-event-uuid", "")
        )
        return "gitlab", event, id_
    if event := headers.get("x-event-key"):
        return "bitbucket", event, headers.get("x-request-uuid") or headers.get("x-request-id", "")
    raise SourceError(
        "This is no hook of GitHub, GitLab, Gitea, Forgejo or Bitbucket: it has none of their event headers.",
        id="hook_unknown",
    )


def _signed(given: str, body: bytes, secret: bytes) -> bool:
    made = hmac.new(secret, body, hashlib.sha256).hexdigest()
    return hmac.compare_digest(given.removeprefix("sha256=").lower().encode(), made.encode())


def _github(headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    given = headers.get("x-hub-signature-256", "")
    return given.startswith("sha256=") and _signed(given, body, secret)


def _gitea(headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    given = next(
        (headers[f"x-{n}-signature"] for n in ("forgejo", "gitea", "gogs") if f"x-{n}-signature" in headers),
        "",
    )
    return bool(given) and _signed(given, body, secret)


def _bitbucket(headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    given = headers.get("x-hub-signature", "")
    return given.startswith("sha256=") and _signed(given, body, secret)


def _gitlab(headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    """A secret token as it is, or a signature by the Standard Webhooks specification."""
    if "webhook-signature" in headers:
        return _standard(headers, body, secret)
    given = headers.get("x-gitlab-token", "")
    return bool(given) and hmac.compare_digest(given.encode(), secret)


def _standard(headers: Mapping[str, str], body: bytes, secret: bytes) -> bool:
    """standardwebhooks.com: HMAC-SHA256 of `id.timestamp.body`, base64, several `v1,…` apart by blanks."""
    id_, at = headers.get("webhook-id", ""), headers.get("webhook-timestamp", "")
    if not DIGITS.fullmatch(at) or abs(time.time() - int(at)) > SKEW:
        return False
    made = hmac.new(standard_key(secret), f"{id_}.{at}.".encode() + body, hashlib.sha256).digest()
    wanted = b"v1," + base64.b64encode(made)
    return any(hmac.compare_digest(one.encode(), wanted) for one in headers["webhook-signature"].split())


def standard_key(secret: bytes) -> bytes:
    """The bytes behind `whsec_…`; any other secret is its own."""
    if not secret.startswith(b"whsec_"):
        return secret
    try:
        return base64.b64decode(secret.removeprefix(b"whsec_"), validate=True)
    except binascii.Error:
        return secret


CHECKS = {"github": _github, "gitea": _gitea, "gitlab": _gitlab, "bitbucket": _bitbucket}


def _document(body: bytes) -> dict[str, Any]:
    """GitHub can also send JSON inside a form; the settings page says so too."""
    try:
        document = json.loads(body)
    except ValueError as error:
        raise SourceError(
            "The hook's body is no JSON: choose application/json as its content type.", id="hook_unknown"
        ) from error
    return document if isinstance(document, dict) else {}


def _pushed(vendor: str, said: dict[str, Any]) -> tuple[str, str, bool]:
    """Return branch, commit and whether the branch is gone. What is no branch has ''."""
    if vendor == "bitbucket":
        return _pushed_bitbucket(said)
    ref, commit = str(said.get("ref") or ""), str(said.get("after") or "")
    branch = ref.removeprefix(BRANCH) if ref.startswith(BRANCH) else ""
    return branch, _commit(commit), commit == ZERO or said.get("deleted") is True


def _pushed_bitbucket(said: dict[str, Any]) -> tuple[str, str, bool]:
    push = said.get("push")
    changes = push.get("changes") if isinstance(push, dict) else None
    for change in changes if isinstance(changes, list) else []:
        new = change.get("new") if isinstance(change, dict) else None
        if isinstance(new, dict) and new.get("type") == "branch" and isinstance(new.get("target"), dict):
            return str(new.get("name") or ""), _commit(str(new["target"].get("hash") or "")), False
    return "", "", True


def _commit(text: str) -> str:
    """A whole commit id, or ''."""
    return text if len(text) == 40 and set(text) <= HEX and text != ZERO else ""
