"""What a build says it built, which the tenant's own code can have written."""

from __future__ import annotations

import json

import pytest

from paas.controller.services.builds import Failure, read_failure, read_result
from paas.errors import InvalidParams

pytestmark = pytest.mark.unit


@pytest.mark.parametrize(
    "value",
    [
        [],
        {"process_types": []},
        {"process_types": {"web": 5}},
        {"process_types": {"": "x"}},
        {"process_types": {"../x": "x"}},
        {"process_types": {"x" * 64: "x"}},
        {"process_types": {"web\n": "x"}},
        {"process_types": {"web": "a\0b"}},
        {"process_types": {"web": "x" * 40_000}},
        {"process_types": {f"t{number}": "x" for number in range(101)}},
        {"config_defaults": {"A-B": "x"}},
        {"config_defaults": {"A": 5}},
        {"config_defaults": {"A": "a\0b"}},
        {"buildpacks": [{"name": 5}]},
        {"error": "no"},
        {"error": {"id": 5, "message": "x"}},
    ],
)
def test_what_cannot_be_used_is_refused(value: object) -> None:
    with pytest.raises(InvalidParams, match="without saying what it built"):
        read_result(json.dumps(value))
    assert read_failure(json.dumps(value)) is None


@pytest.mark.parametrize(
    "text", ["", "no", "{", "[" * 100_000, "null", '{"process_types": {"web": "\ud800"}}']
)
def test_what_is_no_document_is_refused(text: str) -> None:
    with pytest.raises(InvalidParams):
        read_result(text)
    assert read_failure(text) is None


def test_what_the_builder_writes_is_read() -> None:
    text = json.dumps(
        {
            "stack": "debian-13",
            "process_types": {"web": "gunicorn app:app", "release": "flask db upgrade"},
            "buildpacks": [{"name": "python", "version": "3.13"}],
            "config_defaults": {"PYTHONUNBUFFERED": "1"},
            "timings": {"detect": 0.1},
            "error": None,
        }
    )
    result = read_result(text)
    assert result.process_types == {"web": "gunicorn app:app", "release": "flask db upgrade"}
    assert result.config_defaults == {"PYTHONUNBUFFERED": "1"}
    assert result.buildpacks[0].name == "python"
    assert read_failure(text) is None


def test_a_failure_is_read() -> None:
    text = json.dumps(
        {"process_types": {}, "error": {"id": "no_buildpack", "message": "Nothing fits.", "hint": "x"}}
    )
    assert read_failure(text) == Failure(id="no_buildpack", message="Nothing fits.")
