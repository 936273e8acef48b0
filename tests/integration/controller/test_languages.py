"""Languages that stacks are given: what releases lie on, and what happens when the stack changes."""

from __future__ import annotations

import pytest

from paas.controller.models import App, Slug, Stack, User
from paas.controller.selectors.languages import build_layers, lacking
from paas.controller.selectors.stacks import is_behind, needs_build, stack_abi
from paas.controller.services.languages import MadeLanguage, put_languages, stack_base
from paas.controller.services.rebase import rebase
from paas.controller.services.releases import release_slug
from paas.errors import InvalidParams
from paas.slugbuilder.language_definitions import LANGUAGES

pytestmark = pytest.mark.integration


def layer(letter: str) -> dict[str, object]:
    return {"digest": "sha256:" + letter * 64, "size": 5}


def give(stack: Stack, letter: str) -> None:
    """The stack has Go; for running, too, so that its place can be seen."""
    base = stack_base(stack.run_layers, stack.build_layers)
    definition = LANGUAGES["go"].fingerprint
    made = MadeLanguage("go", definition, base, [layer(letter)], [layer("e")], "go1.24.4", "1.24")
    put_languages(stack, [made])


def slug_of(app: App) -> Slug:
    return Slug.objects.create(
        app=app,
        digest="sha256:" + "a" * 64,
        size=5,
        process_types={"web": "bin/x"},
        buildpacks=[{"name": "go", "version": "1.24.4"}],
        stack="debian-13",
        abi={"os": "debian 13"},
    )


def test_a_release_lies_on_its_languages_and_is_rebased_with_them(user: User, app: App, stack: Stack) -> None:
    Stack.objects.update(abi={"os": "debian 13"}, build_layers=[layer("4")])
    stack.refresh_from_db()
    slug = slug_of(app)
    assert lacking(stack, ["go", "python"]) == ["go"]
    with pytest.raises(InvalidParams, match="has no Go for this code yet"):
        release_slug(user, app, slug, "Deploy")

    give(stack, "1")
    assert lacking(stack, ["go"]) == []
    assert [one["digest"][7] for one in build_layers(stack, ["go"])] == ["e", "4", "5"]
    assert stack_abi("debian-13") == {"os": "debian 13", "go": "1.24"}
    release = release_slug(user, app, slug, "Deploy")
    assert release.stack_layers == [layer("1"), layer("5")]
    assert not is_behind(release, stack)

    Stack.objects.update(run_layers=[layer("6")])
    stack.refresh_from_db()
    assert is_behind(release, stack)
    assert lacking(stack, ["go"]) == ["go"], "its layers belong to the images before"
    assert needs_build(release, stack) == "the stack has no Go for its newest layers yet"
    give(stack, "2")
    rebased = rebase(user, app)
    assert rebased is not None
    assert rebased.stack_layers == [layer("2"), layer("6")]


def test_an_imported_stack_brings_its_own(stack: Stack) -> None:
    stack.source = "docker://a.example/stack"
    assert lacking(stack, ["go"]) == []
