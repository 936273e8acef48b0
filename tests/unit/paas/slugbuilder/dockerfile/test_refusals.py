"""Registries that refuse base images: whose password is missing or wrong."""

from __future__ import annotations

import pytest

from paas.slugbuilder.dockerfile.building import hint_of
from paas.slugbuilder.dockerfile.refusals import places, refusal

pytestmark = pytest.mark.unit

HEAD = "Error: creating build container: initializing source docker://quay.io/team/base:1: "
REFUSED = [f"{HEAD}reading manifest 1 in quay.io/team/base: unauthorized: authentication required"]


def test_a_missing_and_a_wrong_password_are_told_apart() -> None:
    missing = refusal(REFUSED, "")
    assert missing is not None
    assert missing.id == "registry_refused"
    assert missing.message == "quay.io asks for a name and a password for team/base:1, or has no such image."
    wrong = refusal(["STEP 1", *REFUSED, ""], '{"auths": {"quay.io/team": {"auth": "eDp5"}}}')
    assert wrong is not None
    assert wrong.message.startswith(
        "quay.io refuses the name and the password of the config var PAAS_REGISTRY_AUTH"
    )
    assert "podman login --authfile FILE quay.io" in wrong.hint
    elsewhere = refusal(REFUSED, '{"auths": {"docker.io": {"auth": "eDp5"}}}')
    assert elsewhere is not None
    assert elsewhere.message == missing.message


@pytest.mark.parametrize(
    "line",
    [
        f"{HEAD}pinging container registry quay.io: dial tcp: i/o timeout",
        'Error: building at STEP "RUN curl x": while running runtime: exit status 22',
        "curl: (22) unauthorized docker://quay.io/x ",
    ],
)
def test_other_failures_are_no_refusal(line: str) -> None:
    assert refusal([line], "") is None


def test_credentials_name_registries() -> None:
    assert places("") == set()
    assert places('{"auths": {"quay.io/team": {}, "127.0.0.1:5000": {}}}') == {"quay.io", "127.0.0.1:5000"}


def test_an_image_without_history_is_told() -> None:
    assert "does not say how it was made" in hint_of(
        "Error: internal error: history lists 2 non-empty layers"
    )
