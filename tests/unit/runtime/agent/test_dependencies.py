"""Which folders of a job's result become images of their own."""

import json

import pytest

from runtime.agent.job import DEPENDENCIES_MAX, dependencies

pytestmark = pytest.mark.unit


def named(*folders):
    return dependencies(json.dumps({"dependencies": folders}), "/app")


def test_folders_below_the_output():
    assert named(".venv", ".yarn/cache") == ("/app/.venv", "/app/.yarn/cache")


@pytest.mark.parametrize("folder", ["/etc", "../secret", "a/../../b", "", ".", 5, None])
def test_what_lies_elsewhere_is_left_out(folder):
    assert named(folder, "kept") == ("/app/kept",)


@pytest.mark.parametrize(
    "result", ["", "no json", "[]", "{}", '{"dependencies": null}', '{"dependencies": "a"}']
)
def test_results_that_name_none(result):
    assert dependencies(result, "/app") == ()


def test_no_more_than_an_instance_may_mount():
    assert len(named(*(f"d{number}" for number in range(50)))) == DEPENDENCIES_MAX
