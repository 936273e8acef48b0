"""Importing and updating stacks, as rows that any worker takes up.

In: a name, and where images are.  Out: a stack whose layers new builds get; apps keep theirs until they are rebased.
"""

from __future__ import annotations

import os
import re
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from uuid import UUID, uuid4

from django.conf import settings
from django.db import IntegrityError, transaction
from django.db.models import F, Q
from django.utils import timezone

from paas.controller.encryption import decrypt, encrypt
from paas.controller.models import Stack, StackTask, User
from paas.controller.queue import enqueue
from paas.controller.services import build_output, events
from paas.controller.services.images import adopt_image, keep
from paas.controller.services.languages import MadeLanguage, made_again, put_languages
from paas.controller.services.registries import blobs, check_source, limits, puller
from paas.controller.texts import storable
from paas.errors import Conflict, Forbidden, InvalidParams, NotFound
from paas.oci.abi import abi, interpreters, system
from paas.oci.errors import ImageError
from paas.oci.fetch import pull
from paas.oci.flatten import Flattened, Wish, flatten
from paas.oci.layout import Image
from paas.oci.references import ARCHIVES, Source, parse_source
from paas.oci.stack import check, shared_layers, wish
from paas.slugbuilder.stack_definitions import HOST
from paas.slugbuilder.stack_definitions import NAMES as MADE_HERE
from paas.slugbuilder.stacks import StackImages, make_stack

NAME = re.compile(r"[a-z0-9](?:[a-z0-9.-]{0,61}[a-z0-9])?")
HEARTBEAT_LOST = timedelta(seconds=10)
ATTEMPTS_MAX = 5
OUTPUT_MAX = 1024**2

Say = Callable[[str], None]


@dataclass(frozen=True)
class Made:
    """A stack's layers, topmost first, and what slugs built on it count on."""

    run: list[dict[str, str | int]]
    build: list[dict[str, str | int]]
    python: str
    node: str
    abi: dict[str, str]


def import_stack(
    user: User,
    name: str,
    source: str,
    build_source: str = "",
    *,
    credentials: str = "",
    uploads: tuple[Path | None, Path | None] = (None, None),
) -> StackTask:
    """Queue the import of a stack, or of newer images of one that was imported. `uploads`: files of archives."""
    _check_admin(user)
    if not NAME.fullmatch(name):
        raise InvalidParams(
            f"{name[:80]!r} cannot name a stack: lower-case letters, digits, '.' and '-', at most 63."
        )
    if name in MADE_HERE:
        raise InvalidParams(
            f"{name} is made by the platform; choose another name, or: paas stacks:update {name}."
        )
    for text in (source, *([build_source] if build_source else [])):
        check_source(text)
    return _create(user, name, source, build_source, credentials, uploads)


def update_stack(user: User, stack: Stack, credentials: str = "") -> StackTask:
    """Queue making a stack anew: Debian's packages as they are now, or the images that its references name now."""
    _check_admin(user)
    if stack.name == HOST:
        raise InvalidParams("The host stack is this machine's own /usr: update the machine (apt upgrade).")
    for source in (stack.source, stack.build_source):
        if source and parse_source(source).transport in ARCHIVES:
            raise InvalidParams(
                f"{stack.name} came from an archive; import the newer one: paas stacks:import {stack.name} FILE."
            )
    return _create(user, stack.name, stack.source, stack.build_source, credentials, (None, None))


def _check_admin(user: User) -> None:
    if not user.is_admin:
        raise Forbidden("Only administrators change stacks: every app runs on them.")


def _create(
    user: User,
    name: str,
    source: str,
    build_source: str,
    credentials: str,
    uploads: tuple[Path | None, Path | None],
) -> StackTask:
    task_id = uuid4()
    for upload, kept in zip(uploads, upload_paths(task_id), strict=True):
        if upload is not None:
            kept.hardlink_to(upload)
    try:
        with transaction.atomic():
            task = StackTask.objects.create(
                id=task_id,
                stack=name,
                source=source,
                build_source=build_source,
                user=user,
                credentials_encrypted=encrypt(credentials.encode()) if credentials else b"",
            )
            events.record(user, "stack.update", task.id, stack=name, source=source, build_source=build_source)
            enqueue("stacks.run_stack_task", str(task.id))
    except BaseException as error:
        for kept in upload_paths(task_id):
            kept.unlink(missing_ok=True)
        if isinstance(error, IntegrityError):
            raise Conflict(
                f"{name} is being imported or updated already; wait for it: paas stacks."
            ) from error
        raise
    return task


def upload_paths(task_id: UUID) -> tuple[Path, Path]:
    """Return where the archives of a task are kept, if it has any."""
    folder = puller().folder_made()
    return folder / f"{task_id}.run.tar", folder / f"{task_id}.build.tar"


def find_task(task_id: str) -> StackTask:
    try:
        task = StackTask.objects.filter(id=UUID(task_id)).first()
    except ValueError:
        task = None
    if task is None:
        raise NotFound(f"There is no stack task {task_id[:80]}.", resource="stack_task")
    return task


# --- the worker's side -----------------------------------------------------------------------------------------


def waiting_tasks() -> list[str]:
    """Return the ids of tasks that a worker can take up: new ones, and those whose worker died."""
    return [str(one) for one in StackTask.objects.filter(_unclaimed()).values_list("id", flat=True)]


def _unclaimed() -> Q:
    silent = timezone.now() - HEARTBEAT_LOST
    return Q(status=StackTask.Status.PENDING) | Q(status=StackTask.Status.RUNNING, heartbeat_at__lt=silent)


def claim(task_id: str, worker: str) -> StackTask | None:
    """Take up a task. None: it is taken, or over."""
    now = timezone.now()
    changes = {
        "status": StackTask.Status.RUNNING,
        "claimed_by": worker,
        "heartbeat_at": now,
        "updated_at": now,
    }
    mine = StackTask.objects.filter(_unclaimed(), id=UUID(task_id))
    if not mine.update(**changes, attempts=F("attempts") + 1):
        return None
    return StackTask.objects.get(id=UUID(task_id))


def beat(task: StackTask, worker: str) -> bool:
    """Say that the worker is alive. False: the task is another's now, or over."""
    mine = StackTask.objects.filter(id=task.id, claimed_by=worker, status=StackTask.Status.RUNNING)
    return mine.update(heartbeat_at=timezone.now()) > 0


def run(task: StackTask, wanted: Callable[[], bool]) -> None:
    """Fetch or make the stack's images and put them in place. Raises ImageError, Cancelled. Safe to repeat."""

    def say(line: str) -> None:
        build_output.write(task.id, line)

    made = _imported(task, say, wanted) if task.source else _made_anew(task.stack, say)
    known = None if task.source else Stack.objects.filter(name=task.stack).first()
    _put(task, made, made_again(known, made.run, made.build, say))
    say(f"{task.stack}: ready ({made.abi['os']}, Python {made.python or '-'}, Node.js {made.node or '-'})")


def _put(task: StackTask, made: Made, languages: list[MadeLanguage]) -> None:
    values = {
        "source": task.source,
        "build_source": task.build_source,
        "run_layers": made.run,
        "build_layers": made.build,
        "python_version": made.python,
        "node_version": made.node,
        "abi": made.abi,
    }
    with transaction.atomic():
        stack, _ = Stack.objects.update_or_create(name=task.stack, defaults=values)
        put_languages(stack, languages)
        events.record(task.user, "stack.updated", task.stack, image=str(made.run[0]["digest"]))


def end(task: StackTask, error_id: str = "", message: str = "") -> None:
    """End a task once, keep its output, and drop what it no longer needs."""
    now, status = timezone.now(), StackTask.Status.FAILED if error_id else StackTask.Status.SUCCEEDED
    mine = StackTask.objects.filter(id=task.id, status__in=StackTask.ACTIVE)
    if message:
        build_output.write(task.id, f" !     {message}")
    changed = mine.update(
        status=status,
        error_id=error_id,
        message=storable(message),
        output=build_output.text(task.id)[-OUTPUT_MAX:],
        credentials_encrypted=b"",
        finished_at=now,
        updated_at=now,
    )
    if changed:
        build_output.finish(task.id, ok=not error_id, reason=message)
        for kept in upload_paths(task.id):
            kept.unlink(missing_ok=True)


def _made_anew(name: str, say: Say) -> Made:
    if os.geteuid() != 0:
        raise ImageError(
            f"{name} is made by mmdebstrap, which needs root, and the platform's worker is not root."
        )
    if settings.PAAS.debian_mirror:
        os.environ["PAAS_DEBIAN_MIRROR"] = settings.PAAS.debian_mirror
    return describe(make_stack(name, Path(settings.PAAS.home) / "stacks", say, anew=True))


def describe(images: StackImages) -> Made:
    """Return what a stack that was made here is, its files linked into the image store."""
    return Made(
        run=[keep(images.run)] if images.run else [],
        build=[keep(images.build)] if images.build else [],
        python=images.python_version,
        node=images.node_version,
        abi=abi(system(images.os_release), images.python_version, images.node_version),
    )


def _imported(task: StackTask, say: Say, wanted: Callable[[], bool]) -> Made:
    secret = bytes(task.credentials_encrypted)
    credentials = decrypt(secret).decode() if secret else ""
    files = upload_paths(task.id)

    def fetch(text: str, file: Path) -> Image:
        source = parse_source(text)
        if source.transport in ARCHIVES:
            source = Source(source.transport, file=str(file), tag=source.tag)
        say(f"Fetching {text}")
        return blobs().image(
            pull(puller(), source, credentials, lambda line: say(f"  {line}"), wanted).digest
        )

    run_image = fetch(task.source, files[0])
    build_image = fetch(task.build_source, files[1]) if task.build_source else None
    with tempfile.TemporaryDirectory(prefix=".stack-", dir=puller().folder_made()) as place:
        flat = _flat(run_image, Path(place) / "run", wish(task.stack), say)
        shared = shared_layers(run_image.layers, build_image.layers) if build_image else 0
        built = (
            _flat(build_image, Path(place) / "build", wish(task.stack, shared), say) if build_image else None
        )
        check(flat, built)
        for one in (flat, *([built] if built else [])):
            adopt_image(one.digest, one.file)
    python, node = interpreters(flat.texts, flat.python)
    return Made(
        run=[{"digest": flat.digest, "size": flat.size}],
        build=[{"digest": built.digest, "size": built.size}] if built else [],
        python=python,
        node=node,
        abi=abi(system(flat.texts["os-release"]), python, node),
    )


def _flat(image: Image, target: Path, wanted: Wish, say: Say) -> Flattened:
    say(f"Flattening {len(image.layers) - wanted.above} layers of {image.digest[:19]}")
    flat = flatten(image.layers, target, wanted, limits())
    say(f"  {flat.files} files, {flat.size / 1024**2:.1f} MB, {flat.digest[:19]}")
    for what, count in flat.dropped.items():
        say(f"  Left out: {what} ({count})")
    return flat
