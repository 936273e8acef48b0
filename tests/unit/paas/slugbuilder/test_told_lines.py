"""Secrets leave no trace in a build's lines; files with nearly the right name are told."""

from __future__ import annotations

import io

import pytest

from paas.slugbuilder.masking import MASK, Masker
from paas.slugbuilder.misspelled import misspelled
from paas.slugbuilder.output import Output

pytestmark = pytest.mark.unit


def test_every_kind_of_line_is_without_them():
    stream = io.StringIO()
    output = Output(stream, masker=Masker({"PASSWORD": "mellon-mellon"}))
    output.step("mellon-mellon")
    output.tool("mellon-mellon")
    output.warn("mellon-mellon")
    output.error("mellon-mellon", ("mellon-mellon",), "mellon-mellon")
    assert "mellon-mellon" not in stream.getvalue()
    assert output.warnings == [MASK]


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
