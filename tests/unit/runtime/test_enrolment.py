"""Join tokens as text."""

from __future__ import annotations

import pytest

from runtime.enrolment import JoinToken

pytestmark = pytest.mark.unit
FINGERPRINT = "0123456789abcdef" * 4


def test_a_token_survives_being_pasted() -> None:
    made = JoinToken.make(FINGERPRINT)
    assert JoinToken.parse(f"  {made}\n") == made
    assert JoinToken.make(FINGERPRINT).secret != made.secret
    assert len(made.secret) == 43


@pytest.mark.parametrize(
    "text",
    ["", "join-", "paas_abc", f"join-short-{FINGERPRINT}", f"join-{'a' * 43}-{'g' * 64}", f"join-{'a' * 43}"],
)
def test_anything_else_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no join token"):
        JoinToken.parse(text)
