"""Secrets do not show in what builds print; ordinary settings stay readable."""

from __future__ import annotations

import base64
from urllib.parse import quote

import pytest

from paas.slugbuilder.masking import MASK, Masker

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("SECRET_KEY", "not random at all"),
        ("STRIPE_API_KEY", "sk_live_4eC39HqLyjWDarjtT1zdp7dc"),
        ("GITHUB_TOKEN", "ghp_abcdefgh"),
        ("MAIL_PASSWORD", "correct horse"),
        ("ANYTHING", "9f86d081884c7d659a2feaa0c55ad015"),
        ("AWS_ACCESS_KEY_ID", "AKIAIOSFODNN7EXAMPLE"),
    ],
)
def test_a_secret_is_masked_wherever_it_stands(name: str, value: str) -> None:
    masker = Masker({name: value})
    assert masker.mask(f"using {value}!") == f"using {MASK}!"
    assert masker.mask(f"{value}{value}") == f"{MASK}{MASK}"


def test_special_characters_are_taken_as_they_are() -> None:
    assert Masker({"API_KEY": "a+b(c)[d]*$^"}).mask("x a+b(c)[d]*$^ y aab") == f"x {MASK} y aab"


def test_forms_that_programs_print() -> None:
    secret = "p@ss/word+1=x"
    masker = Masker({"PASSWORD": secret})
    assert masker.mask(quote(secret, safe="")) == MASK
    assert MASK in masker.mask(base64.b64encode(secret.encode()).decode())


def test_of_a_url_only_the_password() -> None:
    masker = Masker({"DATABASE_URL": "postgres://app:s3cr3t-word@db.internal:5432/app"})
    line = "connecting to postgres://app:s3cr3t-word@db.internal:5432/app"
    assert masker.mask(line) == f"connecting to postgres://app:{MASK}@db.internal:5432/app"


def test_of_an_index_with_credentials_only_the_password() -> None:
    masker = Masker({"PIP_EXTRA_INDEX_URL": "https://ci:hunter2hunter2@pypi.example.com/simple"})
    assert masker.mask("Looking in https://ci:hunter2hunter2@pypi.example.com/simple") == (
        f"Looking in https://ci:{MASK}@pypi.example.com/simple"
    )


def test_a_token_in_place_of_a_user() -> None:
    masker = Masker({"REPOSITORY": "https://ghp_0123456789abcdefghij@github.com/a/b"})
    assert masker.mask("cloning ghp_0123456789abcdefghij@github.com") == f"cloning {MASK}@github.com"


def test_a_key_of_several_lines() -> None:
    key = "-----BEGIN KEY-----\nMIIEvQIBADANBg\nkqhkiG9w0BAQEF\n-----END KEY-----"
    masker = Masker({"PRIVATE_KEY": key})
    assert masker.mask("MIIEvQIBADANBg") == MASK
    assert masker.mask("  kqhkiG9w0BAQEF") == f"  {MASK}"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("NODE_ENV", "production"),
        ("STATIC_ROOT", "/app/static/files/2026/assets"),
        ("HOST", "https://www.example.com/a/long/path/with/digits/1"),
        ("PIN", "1234"),
        ("PASSWORD", "short"),
        ("DJANGO_SETTINGS_MODULE", "project.settings.production"),
        ("MONKEY", "business as usual"),
        ("SOURCE_VERSION", "9f86d081884c7d659a2feaa0c55ad0159f86d081"),
        ("AUTHOR", "Ada Lovelace"),
        ("TOKEN_URL", "https://id.example.com/token"),
        ("AUTHENTICATION_BACKENDS", "project.auth.Backend"),
        ("PUBLIC_URL", "https://deploy@example.com/"),
        ("LANGUAGES", "english-german-french-italian"),
    ],
)
def test_ordinary_values_stay_readable(name: str, value: str) -> None:
    assert Masker({name: value}).mask(f"{name} is {value}") == f"{name} is {value}"


def test_one_secret_that_holds_another() -> None:
    masker = Masker({"A_TOKEN": "abcdefgh", "B_TOKEN": "abcdefgh-and-more"})
    assert masker.mask("abcdefgh-and-more abcdefgh") == f"{MASK} {MASK}"


def test_without_secrets_nothing_changes() -> None:
    assert Masker({}).mask("a line") == "a line"
