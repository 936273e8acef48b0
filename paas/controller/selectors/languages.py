"""Reading the languages of stacks: the layers that a build or a release lies on besides the stack's own.

In: a stack, names of languages or a slug's buildpacks.  Out: layers, versions. A language whose layers were made on
other images of the stack does not count: they belong together.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any

from paas.controller.models import Stack, StackLanguage
from paas.slugbuilder.language_definitions import LANGUAGES


def stack_base(run_layers: list[dict[str, Any]], build_layers: list[dict[str, Any]]) -> str:
    """Return what a language's layers are bound to: the images that they were made on."""
    digests = [str(layer["digest"]) for layer in (*run_layers, *build_layers)]
    return hashlib.sha256("\0".join(digests).encode()).hexdigest()


def languages_in(buildpacks: Iterable[dict[str, Any]]) -> list[str]:
    """Return the languages among a slug's buildpacks."""
    return list(dict.fromkeys(str(pack.get("name")) for pack in buildpacks if pack.get("name") in LANGUAGES))


def on_stack(stack: Stack, names: Iterable[str]) -> dict[str, StackLanguage]:
    """Return the rows that fit the stack's images of now, in the order of `names`."""
    wanted = list(names)
    if stack.on_host or not wanted:
        return {}
    base = stack_base(stack.run_layers, stack.build_layers)
    rows = {row.language: row for row in stack.languages.filter(language__in=wanted, base=base)}
    return {name: rows[name] for name in wanted if name in rows}


def lacking(stack: Stack, names: Iterable[str]) -> list[str]:
    """Return the languages that a stack made here does not have yet. Imported ones bring theirs in their images."""
    wanted = [name for name in names if name in LANGUAGES]
    if stack.on_host or stack.source or not wanted:
        return []
    there = on_stack(stack, wanted)
    return [
        name for name in wanted if name not in there or there[name].definition != LANGUAGES[name].fingerprint
    ]


def build_layers(stack: Stack, names: Iterable[str]) -> list[dict[str, Any]]:
    """Return the layers of a build, topmost first."""
    own = [layer for row in on_stack(stack, names).values() for layer in row.build_layers]
    return [*own, *stack.build_layers, *stack.run_layers]


def run_layers(stack: Stack, buildpacks: Iterable[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the layers that a slug of these buildpacks runs on, topmost first."""
    rows = on_stack(stack, languages_in(buildpacks))
    return [*(layer for row in rows.values() for layer in row.run_layers), *stack.run_layers]


def lost(stack: Stack, buildpacks: Iterable[dict[str, Any]]) -> list[str]:
    """Return the languages that a slug was built with and that a stack made here has no layers for at present."""
    names = languages_in(buildpacks)
    if stack.on_host or stack.source or not names:
        return []
    there = on_stack(stack, names)
    return [LANGUAGES[name].label for name in names if name not in there]


def language_abi(stack: Stack) -> dict[str, str]:
    """Return the versions that compiled code is bound to, by language."""
    if stack.on_host:
        return {}
    base = stack_base(stack.run_layers, stack.build_layers)
    return {row.language: row.abi for row in stack.languages.all() if row.base == base and row.abi}
