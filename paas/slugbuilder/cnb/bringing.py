"""Cloud Native Buildpacks brought into the build.

In: references of the app, or the group of its project.toml.  Out: buildpacks in scratch, and the order to try.
A folder is one buildpack, or a collection: an order.toml (or builder.toml) with buildpacks somewhere below it. An image
is such a collection, too: at a registry, or in an archive in the repository.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from http.client import HTTPException
from itertools import chain, islice, product
from pathlib import Path

from ..errors import BuildError
from ..heroku.compiling import Chosen
from ..heroku.fetching import MOST_BYTES, MOST_SECONDS, fetch, unreadable
from ..heroku.references import INDEX, Reference, Source, parse_place, parse_reference
from ..project_toml import Named
from ..workspace import Workspace
from .descriptor import Entry, Order, Pack, parse_descriptor, parse_order
from .oci_image import Unusable, unpack_layers
from .order import MOST_GROUPS
from .registry import Archive, Blobs, open_registry, read_image
from .tables import read_table
from .toml_writing import quoted

DESCRIPTOR = "buildpack.toml"
ORDERS = ("order.toml", "builder.toml")
DEEPEST = 4  # folders between a collection and its buildpacks: buildpacks/ID/VERSION
PROGRAMS = ("detect", "build")
PREFIX = "cnb:"
WHOLE = "platform"  # names all that the operator offers


@dataclass(frozen=True)
class Brought:
    packs: tuple[Pack, ...]
    order: Order


def bring_references(references: Sequence[Reference], settings: Chosen, work: Workspace) -> Brought:
    """All in one group, in order; a single collection brings its own groups."""
    return _together([_brought(one, settings, work, number) for number, one in enumerate(references)])


def bring_group(group: Sequence[Named], settings: Chosen, work: Workspace) -> Brought:
    """What project.toml names: by URI, as a script, or by the id of one that the others or the platform bring."""
    each: list[Brought] = []
    for number, named in enumerate(group):
        if named.script:
            each.append(_scripted(named, work, number))
        elif named.uri:
            each.append(_brought(_reference(named.uri, settings.schemes), settings, work, number))
        else:
            each.append(Brought((), ((Entry(named.id, named.version),),)))
    if any(not named.script and not named.uri for named in group):
        each.append(Brought(offered(settings.offered), ((),)))
    return _together(each)


def _reference(uri: str, schemes: tuple[str, ...]) -> Reference:
    """`buildpacks/mine` and `file:./buildpacks/mine` are folders beside project.toml, too."""
    place = uri.removeprefix("file:") if not uri.startswith("file://") else uri
    if "://" not in place and not place.startswith(("./", INDEX)):
        place = f"./{place}"
    try:
        return parse_reference(f"{PREFIX}{place}", schemes)
    except ValueError as error:
        hint = "Correct it in project.toml, and push again."
        raise BuildError("buildpack_invalid", str(error), hint=hint) from error


def _together(each: Sequence[Brought]) -> Brought:
    """The groups of each after those of the one before, in every combination."""
    packs = tuple(pack for one in each for pack in one.packs)
    every = islice(product(*(one.order for one in each)), MOST_GROUPS + 1)  # more are refused, and never made
    return Brought(packs, tuple(tuple(chain.from_iterable(groups)) for groups in every))


def _brought(reference: Reference, settings: Chosen, work: Workspace, number: int) -> Brought:
    inner = parse_place(reference.place, settings.schemes)
    if inner.source is Source.PLATFORM:
        return _offered(inner, reference, settings.offered)
    folder = work.scratch / "cnb" / "brought" / str(number)
    with work.timed("fetch"):
        try:
            root = _fetched(inner, settings.schemes, work, folder)
        except (Unusable, OSError, HTTPException) as error:
            raise unreadable(reference, str(error)) from error
    return collection(root, reference)


def offered(folder: Path) -> tuple[Pack, ...]:
    """Return what the platform's operator offers; nothing where there is no such folder."""
    return tuple(read_packs(folder, "the platform")) if folder.is_dir() else ()


def _offered(place: Reference, reference: Reference, folder: Path) -> Brought:
    """One of the platform's buildpacks by its id, or all of them in their order."""
    packs = offered(folder)
    if place.place == WHOLE and packs:
        return collection(folder, reference)
    id, _, version = place.place.partition("@")
    if not any(pack.descriptor.id == id and version in ("", pack.descriptor.version) for pack in packs):
        there = ", ".join(sorted(pack.descriptor.label for pack in packs)) or "none"
        raise unreadable(reference, f"this platform does not offer it (it offers: {there})")
    return Brought(packs, ((Entry(id, version),),))


def _fetched(place: Reference, schemes: tuple[str, ...], work: Workspace, folder: Path) -> Path:
    """Return a folder with buildpacks: as it is, or what an image holds."""
    deadline = time.monotonic() + MOST_SECONDS
    if place.source is Source.IMAGE:
        registry, tag = open_registry(place.place, schemes, work.env.get("SSL_CERT_FILE"), deadline)
        return _from_image(registry, tag, folder)
    file = work.app / place.place
    inside = file.resolve().is_relative_to(work.app.resolve())
    if place.source is Source.FOLDER and inside and file.is_file():
        return _from_image(Archive(file, deadline), "", folder)
    return fetch(place, schemes, work, folder)


def _from_image(source: Blobs, reference: str, folder: Path) -> Path:
    image = read_image(source, reference, folder / "image", MOST_BYTES)
    return unpack_layers(image.opened(), image.config, folder / "it", MOST_BYTES)


def collection(root: Path, reference: Reference) -> Brought:
    """Return what a folder holds."""
    own = next((root / name for name in ORDERS if (root / name).is_file()), None)
    packs = tuple(read_packs(root, reference.text))
    if own is not None:
        return Brought(packs, parse_order(read_table(own, f"{own.name} of {reference.text}")))
    first = next((pack for pack in packs if pack.root == root), None)
    if first is None and len(packs) != 1:
        there = " or ".join((DESCRIPTOR, *ORDERS))
        raise unreadable(reference, f"it has no {there} at its top")
    about = (first or packs[0]).descriptor
    return Brought(packs, ((Entry(about.id, about.version),),))


def read_packs(root: Path, name: str) -> Iterable[Pack]:
    """Yield every buildpack at or below a folder; what lies in the folder of one that runs is that one's own."""
    running: set[Path] = set()
    for file in sorted(root.rglob(DESCRIPTOR), key=lambda one: (len(one.parts), one)):
        inside = file.parent.relative_to(root)
        hidden = any(part.startswith(".") for part in inside.parts)
        if len(inside.parts) > DEEPEST or hidden or running & set(file.parents):
            continue
        descriptor = parse_descriptor(read_table(file, f"{inside / DESCRIPTOR} of {name}"))
        if not descriptor.order:
            _check_programs(file.parent, descriptor.label)
            running.add(file.parent)
        yield Pack(descriptor, file.parent)


def _check_programs(folder: Path, label: str) -> None:
    missing = [f"bin/{name}" for name in PROGRAMS if not (folder / "bin" / name).is_file()]
    if missing:
        message = f"The Cloud Native Buildpack {label} cannot be used: it has no {' and no '.join(missing)}."
        raise BuildError("buildpack_unavailable", message)
    for program in (folder / "bin").iterdir():
        if program.is_file() and not program.is_symlink() and not os.access(program, os.X_OK):
            program.chmod(0o755)


def _scripted(named: Named, work: Workspace, number: int) -> Brought:
    """A buildpack that always fits, whose bin/build is the script."""
    assert named.script is not None
    folder = work.scratch / "cnb" / "brought" / str(number)
    (folder / "bin").mkdir(parents=True)
    version = named.version or "0"
    about = f"[buildpack]\nid = {quoted(named.id)}\nversion = {quoted(version)}\n"
    (folder / DESCRIPTOR).write_text(f"api = {quoted(named.script.api)}\n{about}", "utf-8")
    (folder / "bin" / "detect").write_text("#!/bin/sh\n", "utf-8")
    (folder / "bin" / "build").write_text(f"#!{named.script.shell}\n{named.script.text}\n", "utf-8")
    where = f"the script {named.id} of project.toml"
    return collection(folder, Reference(where, Source.CNB, "."))
