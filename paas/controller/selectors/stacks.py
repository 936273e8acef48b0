"""Reading stacks: what slugs count on, which apps run on older layers, and whether one can go on newer ones.

In: stacks, releases.  Out: values and sentences.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from paas.controller.models import App, Release, Stack, User
from paas.controller.selectors.apps import visible_apps
from paas.controller.selectors.languages import language_abi, lost

# What a buildpack's slug loads of its stack besides the C library.
INTERPRETERS = {
    "python": "python",
    "nodejs": "node",
    "node": "node",
    "ruby": "ruby",
    "php": "php",
    "java": "java",
}


def stack_abi(name: str) -> dict[str, str]:
    """Return what slugs built on a stack now count on."""
    stack = Stack.objects.filter(name=name).first()
    return abi_of(stack) if stack else {}


def abi_of(stack: Stack) -> dict[str, str]:
    """Its own interpreters, and those of the languages that it has been given."""
    return {**stack.abi, **language_abi(stack)}


@dataclass(frozen=True)
class Behind:
    """An app whose serving release has older layers than its stack; `reason` says why it needs a build ('': none)."""

    app: App
    release: Release
    reason: str = ""


def behind(user: User) -> list[Behind]:
    """Return the apps that are behind their stack, of those that `user` may work on."""
    stacks = {stack.name: stack for stack in Stack.objects.all()}
    apps = visible_apps(user).exclude(current_release=None).select_related("current_release__slug")
    found = []
    for app in apps:
        release = app.current_release
        stack = stacks.get(release.stack) if release else None
        if release is not None and stack is not None and is_behind(release, stack):
            found.append(Behind(app, release, needs_build(release, stack)))
    return found


def is_behind(release: Release, stack: Stack) -> bool:
    """Tell whether a release's code lies on other layers than its stack has now. Prebuilt images lie on none."""
    return release.slug is not None and not release.slug.images and not _lies_on(release, stack)


def _lies_on(release: Release, stack: Stack) -> bool:
    """The layers of languages lie over those of the stack."""
    own = len(stack.run_layers)
    return release.stack_layers[-own:] == stack.run_layers if own else not release.stack_layers


def needs_build(release: Release, stack: Stack) -> str:
    """Return why a slug cannot be put on its stack's newest layers, '' when it can."""
    if release.slug is None:
        return "it has no code yet"
    packs = [str(pack.get("name", "")) for pack in release.slug.buildpacks]
    if missing := lost(stack, release.slug.buildpacks):
        return f"the stack has no {' and no '.join(missing)} for its newest layers yet"
    return breaks(release.slug.abi, abi_of(stack), packs)


def breaks(old: Mapping[str, str], new: Mapping[str, str], buildpacks: list[str]) -> str:
    """Return what slugs built against `old` would miss on `new`, '' when nothing: the same system, and the same minor
    version of the interpreters that its buildpacks use."""
    if not old.get("os"):
        return "it is not known what it was built against"
    if old["os"] != new.get("os"):
        return f"it was built for {old['os']}, the stack is {new.get('os') or 'another system'} now"
    for name in sorted({INTERPRETERS[pack] for pack in buildpacks if pack in INTERPRETERS}):
        if old.get(name, "") != new.get(name, ""):
            now = new.get(name) or "none"
            return f"it was built for {name} {old.get(name) or 'of another stack'}, the stack has {now} now"
    return ""
