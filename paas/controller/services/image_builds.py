"""Builds from Dockerfiles: what a source asks for, the order to a host, and a release of what came of it.

In: a build and its source.  Out: a plan (None: buildpacks build it), a job, images of process types in a slug.
"""

from __future__ import annotations

import re
import time
from collections.abc import Collection
from pathlib import PurePosixPath
from uuid import UUID

import msgspec
from django.conf import settings

from paas.controller.models import Build, Stack
from paas.controller.selectors.caches import cache_name
from paas.controller.selectors.config import config_vars
from paas.controller.selectors.images import image_path
from paas.controller.selectors.prebuilt import WEB, Prebuilt, words_of
from paas.controller.services import builds, prebuilt
from paas.controller.services.images import builder_image
from paas.controller.services.registries import blobs
from paas.controller.services.source_fetching import files_of
from paas.errors import InvalidParams
from paas.oci.errors import ImageError
from paas.oci.flatten import Flattened
from paas.oci.folders import adopt_folders
from paas.oci.layout import Image
from paas.oci.settings import Config
from paas.slugbuilder.dockerfile.heroku_yml import FILE as HEROKU_YML
from paas.slugbuilder.dockerfile.heroku_yml import parse_heroku_yml
from paas.slugbuilder.dockerfile.instructions import base_images
from paas.slugbuilder.dockerfile.plan import REGISTRY_AUTH, Orders, Plan, Process, Target, dump_orders
from paas.slugbuilder.dockerfile.source_files import TooLarge, Unreadable
from paas.slugbuilder.errors import BuildError
from paas.slugbuilder.procfile import parse_procfile
from paas.slugbuilder.project_toml import FILE as PROJECT
from paas.slugbuilder.project_toml import parse_project
from runtime.model import IMAGE_BUILD, Account, ImageRef, JobInput, JobOutput, JobSpec, Rootfs

DOCKERFILE, PROCFILE, BUILDPACKS = "Dockerfile", "Procfile", ".buildpacks"
OUT = "/app/out"  # where the builder leaves what it made
STACKS = "/stacks"
CACHE_BYTES = 6 * 1024**3
# The error of each file that is too large to be read; Dockerfiles have names of the app's choice.
TOO_LARGE = {
    HEROKU_YML: "heroku_yml_invalid",
    PROCFILE: "procfile_invalid",
    PROJECT: "cnb_invalid",
    BUILDPACKS: "buildpack_invalid",
}
_STACK = re.compile(r"(?:localhost/)?paas/([a-z0-9][a-z0-9._-]*)(?::latest)?")


def plan_of(build: Build) -> Plan | None:
    """Return what the source's Dockerfiles are to become, None without any. Raises InvalidParams for a wrong file.

    Buildpacks that the app names come first: an app may have a Dockerfile for other purposes.
    """
    if build.app.buildpacks:
        return None
    try:
        found = small_files(build, (HEROKU_YML, DOCKERFILE, PROCFILE, BUILDPACKS, PROJECT))
        if BUILDPACKS in found or parse_project(found.get(PROJECT, b"")).group:
            return None
        plan = parse_heroku_yml(found[HEROKU_YML].decode(errors="replace")) if HEROKU_YML in found else None
        if plan is None and DOCKERFILE in found:
            plan = _of_one(found.get(PROCFILE, b""))
    except Unreadable:
        return None  # the builder says what is wrong with it
    except ValueError as error:
        raise InvalidParams(str(error), id="heroku_yml_invalid") from error
    except BuildError as error:
        words = " ".join(part for part in (error.message, *error.details, error.hint) if part)
        raise InvalidParams(words, id=error.id) from error
    return plan


def small_files(build: Build, names: Collection[str]) -> dict[str, bytes]:
    """Return files of the source that the platform itself reads. Raises Unreadable; InvalidParams for a large one."""
    try:
        return files_of(build, names)
    except TooLarge as error:
        cause = TOO_LARGE.get(PurePosixPath(error.name).name, "dockerfile_failed")
        raise InvalidParams(f"{error} Make it smaller and push again.", id=cause) from error


def _of_one(procfile: bytes) -> Plan:
    """The plan of a Dockerfile alone: `web`, and what a Procfile runs in the same image."""
    commands = parse_procfile(procfile) if procfile else {}
    runs = {name: Process(WEB, command) for name, command in commands.items()}
    told = ("Another way: `paas buildpacks:set NAME` builds without the Dockerfile",)
    return Plan({WEB: Target(DOCKERFILE)}, runs, told=told)


def order(build: Build, plan: Plan, spec: JobSpec) -> JobSpec:
    """Turn the order for a build by buildpacks into one for images: other tools, root of its own user namespace."""
    builder = builder_image()
    assert builder is not None, "an order has been made with it"
    stacks = _stacks(build, plan)
    orders = Orders(
        plan.targets,
        {"SOURCE_VERSION": build.commit, "STACK": build.stack, **plan.arguments},
        {name: [layer["digest"] for layer in layers] for name, layers in stacks.items()},
        settings.PAAS.insecure_registries.split(),
        plan.told,
    )
    container = msgspec.structs.replace(
        spec.container,
        rootfs=Rootfs(
            layers=(builder,), host=True
        ),  # buildah is the host's; what runs in the image is the image's
        argv=(*spec.container.argv, f"--images={dump_orders(orders)}"),
        env={**spec.container.env, **_credentials(build)},
        account=Account(uid=0, gid=0, capable=True),
        seccomp=IMAGE_BUILD,
    )
    files = {layer["digest"] for layers in stacks.values() for layer in layers}
    inputs = (
        JobInput(path=f"/internal/images/{digest}", target=f"{STACKS}/{digest.removeprefix('sha256:')}")
        for digest in sorted(files)
    )
    return msgspec.structs.replace(
        spec,
        container=container,
        inputs=(*spec.inputs, *inputs),
        output=JobOutput(directory=OUT),
        cache=f"{cache_name(build.app, build.stack)}-images",
        cache_bytes=CACHE_BYTES,
    )


def _credentials(build: Build) -> dict[str, str]:
    auth = config_vars(build.app).get(REGISTRY_AUTH, "")
    return {REGISTRY_AUTH: auth} if auth else {}


def _stacks(build: Build, plan: Plan) -> dict[str, list[dict[str, str]]]:
    """Return the layers of the stacks that the Dockerfiles begin with. Raises InvalidParams for what is no image."""
    names = {target.dockerfile for target in plan.targets}
    texts = small_files(build, names)
    bases = {base for text in texts.values() for base in base_images(text.decode(errors="replace"))}
    found = {}
    for base in bases:
        match = _STACK.fullmatch(base)
        if match:
            found[match[1]] = _layers(match[1])
    return found


def _layers(name: str) -> list[dict[str, str]]:
    stack = Stack.objects.filter(name=name).first()
    if stack is not None and stack.run_layers:
        return list(stack.run_layers)
    known = ", ".join(row.name for row in Stack.objects.order_by("name") if row.run_layers) or "none here"
    why = "is this machine's own /usr, and no image" if stack else "is not there"
    raise InvalidParams(
        f"The stack {name} {why}; stacks that a Dockerfile can begin with: {known}.", id="dockerfile_base"
    )


def succeed(build: Build, plan: Plan, made: ImageRef, said: builds.Result, timings: dict[str, float]) -> None:
    """Flatten what was built and release it with what app.json `said`. Raises ImageError for an image that cannot be
    run."""
    began = time.monotonic()
    digests = adopt_folders(image_path(made.digest), blobs())
    images = [_image_of(target, digests.get(number)) for number, target in enumerate(plan.targets)]
    flats: list[Flattened] = []
    for target, image in zip(plan.targets, images, strict=True):
        prebuilt.say(build.id, f"-----> Flattening {len(image.layers)} layers of {_name(target)}")
        flats.append(prebuilt.flattened(image))
        _tell_size(build.id, flats[-1])
    found = {name: _described(build, plan, name, images, flats) for name in (*plan.images, *plan.runs)}
    for name, process in found.items():
        prebuilt.tell_process(build, name, process)
    for name in sorted(set(said.declared.formation) - set(found)):
        words = f"app.json: `formation` names {name}, which is no process type of this app."
        prebuilt.say(build.id, f" !     {words}")
    result = builds.Result(
        process_types={name: _command(plan, name, image) for name, image in found.items()},
        health_checks={**_checks(plan, found), **said.health_checks},
        declared=said.declared,
        buildpacks=tuple(builds.UsedBuildpack(_name(target), "buildah") for target in plan.targets),
    )
    main = found.get(WEB) or next(iter(found.values()))
    spent = {**timings, "package": timings.get("package", 0.0) + time.monotonic() - began}
    builds.succeed(build, main.ref, result, spent, found)


def _image_of(target: Target, digest: str | None) -> Image:
    if digest is None:
        raise ImageError(
            f"The build left no image of {_name(target)}. Push again, and report it if it stays so."
        )
    return blobs().image(digest)


def _checks(plan: Plan, found: dict[str, Prebuilt]) -> dict[str, builds.DeclaredCheck]:
    """A HEALTHCHECK is for what its image runs, and for web: not for another command in the same image."""
    own = {name: one for name, one in found.items() if name == WEB or name not in plan.runs}
    return {name: check for name, one in own.items() if (check := prebuilt.declared_check(name, one))}


def _name(target: Target) -> str:
    return f"{target.dockerfile}, stage {target.stage}" if target.stage else target.dockerfile


def _tell_size(build_id: UUID, flat: Flattened) -> None:
    prebuilt.say(build_id, f"       {flat.files} files, {flat.size / 1024**2:.1f} MB, {flat.digest[:19]}")
    for what, count in flat.dropped.items():
        prebuilt.say(build_id, f"       Left out: {what} ({count})")


def _described(build: Build, plan: Plan, name: str, images: list[Image], flats: list[Flattened]) -> Prebuilt:
    process = plan.runs.get(name)
    target = plan.images[process.image if process else name]
    number = plan.targets.index(target)
    command, shell = process.command if process else "", flats[number].shell
    try:
        config = with_command(images[number].config, command, shell=shell)
        return prebuilt.described(flats[number], config, source=_name(target), origin=images[number].digest)
    except ImageError as error:
        raise ImageError(f"{_name(target)}: {error.message}", id=error.id) from error


def with_command(config: Config, command: str, *, shell: bool) -> Config:
    """Return the configuration with a command in place of CMD, as a shell form would be; ENTRYPOINT stays.

    Raises ImageError for words that cannot be told apart.
    """
    if not command:
        return config
    try:
        words = words_of(command, shell=shell)
    except ValueError as error:
        message = f"the command `{command}` cannot be split into words ({error}), and the image has no shell"
        raise ImageError(f"{message}. Correct its quotes.") from error
    return msgspec.structs.replace(config, config=msgspec.structs.replace(config.container, cmd=words))


def _command(plan: Plan, name: str, image: Prebuilt) -> str:
    """Return the command as people know it: their own words where these alone are what runs."""
    own = plan.runs[name].command if name in plan.runs else ""
    return own if own and image.argv == words_of(own, shell=image.shell) else image.command
