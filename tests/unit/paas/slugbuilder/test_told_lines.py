"""Secrets leave no trace in a build's lines; files with nearly the right name are told."""

from __future__ import annotations

import io

import pytest

from paas.slugbuilder.misspelled import misspelled
from paas.slugbuilder.output import Output
from paas.slugbuilder.redaction import redacted, secrets_of

pytestmark = pytest.mark.unit


def test_secrets_are_found_by_name_and_in_urls():
    environ = {
        "STRIPE_API_KEY": "sk_live_0123",
        "DATABASE_URL": "postgres://app:p%40ssw0rd@db.test/x",
        "PIP_INDEX_URL": "https://ghp_0123456789@inner.test/simple",
        "GREETING": "hello there",
        "MY_TOKEN": "short",
    }
    assert set(secrets_of(environ)) == {"sk_live_0123", "p%40ssw0rd", "p@ssw0rd", "ghp_0123456789"}


def test_the_longest_secret_goes_first():
    secrets = secrets_of({"A_SECRET": "abcdef", "B_SECRET": "abcdefgh"})
    assert redacted("abcdefgh abcdef", secrets) == "**** ****"


def test_every_kind_of_line_is_without_them():
    stream = io.StringIO()
    output = Output(stream, secrets=("mellon",))
    output.step("mellon")
    output.tool("mellon")
    output.warn("mellon")
    output.error("mellon", ("mellon",), "mellon")
    assert "mellon" not in stream.getvalue()
    assert output.warnings == ["****"]


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        (".python_version", ".python-version"),
        ("python-version", ".python-version"),
        (".python-version.txt", ".python-version"),
        ("requirement.txt", "requirements.txt"),
        ("Requirements.txt", "requirements.txt"),
        ("requirments.txt", "requirements.txt"),
        ("runtimes.txt", "runtime.txt"),
        ("procfile", "Procfile"),
        ("Procfile.txt", "Procfile"),
        ("pakage.json", "package.json"),
        ("nvmrc", ".nvmrc"),
        ("static_file", "Staticfile"),
    ],
)
def test_misspelled(name, meant):
    assert misspelled([name, "app.py"]) == [f"{name} is not read: the file must be named {meant}."]


@pytest.mark.parametrize(
    "name",
    ["requirements-dev.txt", "requirements.in", "app.py", "package.sh", "README.md", "static"],
)
def test_names_of_other_things(name):
    assert misspelled([name]) == []


def test_a_second_spelling_beside_the_right_one_is_nobodys_business():
    assert misspelled(["requirements.txt", "requirement.txt"]) == []
