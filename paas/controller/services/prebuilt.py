"""Deploying images that others have built: fetched or pushed, flattened, and released like any slug.

In: where an image is.  Out: a build row; a worker makes slug and release of it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from uuid import UUID, uuid4

from django.db import IntegrityError, transaction

from paas.controller.encryption import decrypt, encrypt
from paas.controller.models import App, Build, User
from paas.controller.queue import enqueue
from paas.controller.selectors.prebuilt import WEB, Prebuilt, images_of, runs_as
from paas.controller.selectors.releases import newest_release
from paas.controller.services import build_output, builds, events
from paas.controller.services.builds import PROCESS_TYPE, DeclaredCheck, Result
from paas.controller.services.images import adopt_image
from paas.controller.services.locking import lock_app
from paas.controller.services.registries import blobs, check_reachable, check_source, limits, puller
from paas.errors import Conflict, InvalidParams
from paas.oci.fetch import pull
from paas.oci.flatten import Flattened, Wish, flatten
from paas.oci.layout import Image
from paas.oci.references import Source, parse_source
from paas.oci.settings import Config, map_settings

CREDENTIALS_MAX = 64 * 1024


def create_image_build(
    user: User | None,
    app: App,
    source: str,
    *,
    process_type: str = WEB,
    credentials: str = "",
    manifest: str = "",
    upload: Path | None = None,
) -> Build:
    """Queue the deployment of an image. `manifest`: it is in the store already; `upload`: the file of an archive.

    Raises InvalidParams for what is no image, Conflict while another build runs.
    """
    if not PROCESS_TYPE.fullmatch(process_type):
        raise InvalidParams(
            f"{process_type[:80]!r} cannot name a process type: letters, digits, _ and -, at most 63."
        )
    if len(credentials) > CREDENTIALS_MAX:
        raise InvalidParams("The registry credentials are longer than 64 KiB; leave out what is not needed.")
    if not manifest:
        check_source(source)
    build_id = uuid4()
    kept = builds.source_path(build_id)
    if upload is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        kept.hardlink_to(upload)
    image = {"source": source[:300], "process_type": process_type, "manifest": manifest}
    try:
        with transaction.atomic():
            app = lock_app(app.id)
            build = Build.objects.create(
                id=build_id,
                app=app,
                user=user,
                origin="image",
                source_file=str(kept) if upload else "",
                stack=app.stack,
                image=image,
                credentials_encrypted=encrypt(credentials.encode()) if credentials else b"",
            )
            events.record(user, "build.create", build.id, app, image=source[:300], process_type=process_type)
            enqueue("builds.run_build", str(build.id))
    except BaseException as error:
        kept.unlink(missing_ok=True)
        if isinstance(error, IntegrityError):
            raise Conflict(
                f"Another build of {app.name} is running; wait for it or cancel it: paas builds:cancel -a {app.name}.",
                app=app.name,
            ) from error
        raise
    return build


def run(build: Build, wanted: Callable[[], bool]) -> None:
    """Fetch, flatten and release the image of a build. Raises ImageError, Cancelled. Safe to repeat."""
    began = time.monotonic()
    image, origin = _have(build, wanted)
    fetched = time.monotonic()
    say(build.id, f"-----> Flattening {len(image.layers)} layers of {image.digest[:19]}")
    found = _prebuilt(build, image, origin)
    timings = {"pull": fetched - began, "package": time.monotonic() - fetched}
    _release(build, found, timings)


def say(build_id: UUID, line: str) -> None:
    build_output.write(build_id, line)


def _have(build: Build, wanted: Callable[[], bool]) -> tuple[Image, str]:
    """Return the image of a build, its blobs in the store, and how its registry names it."""
    if build.image["manifest"]:
        return blobs().image(build.image["manifest"]), build.image["manifest"]
    source = parse_source(build.image["source"])
    if build.source_file:
        source = Source(source.transport, file=build.source_file, tag=source.tag)
    check_reachable(source, admin=build.user is not None and build.user.is_admin)
    say(build.id, f"-----> Fetching {build.image['source']}")
    secret = bytes(build.credentials_encrypted)
    credentials = decrypt(secret).decode() if secret else ""
    pulled = pull(puller(), source, credentials, lambda line: say(build.id, f"       {line}"), wanted)
    return blobs().image(pulled.digest), pulled.origin or pulled.digest


def _prebuilt(build: Build, image: Image, origin: str) -> Prebuilt:
    flat = flattened(image)
    found = described(flat, image.config, source=build.image["source"], origin=origin)
    tell(build, build.image["process_type"], flat, found)
    return found


def flattened(image: Image) -> Flattened:
    """Make one squashfs of an image and keep it. Raises ImageError."""
    container = image.config.container
    folders = [container.working_dir or "/", *(container.volumes or {})]
    wish = Wish(directories=[(folder, 0o755, 0) for folder in folders])
    with tempfile.TemporaryDirectory(prefix=".flat-", dir=puller().folder_made()) as place:
        flat = flatten(image.layers, Path(place) / "image", wish, limits())
        adopt_image(flat.digest, flat.file)
    return flat


def described(flat: Flattened, config: Config, *, source: str, origin: str) -> Prebuilt:
    """Return an image as a slug has it. Raises ImageError for what cannot be run."""
    how = map_settings(config, flat.texts["passwd"], flat.texts["group"], shell=flat.shell)
    return Prebuilt(
        digest=flat.digest,
        size=flat.size,
        argv=how.argv,
        env=how.env,
        cwd=how.cwd,
        uid=how.account.uid,
        gid=how.account.gid,
        groups=how.account.groups,
        port=how.port,
        stop_signal=how.stop_signal,
        volumes=how.volumes,
        path=how.path,
        check=how.check,
        shell=how.shell,
        origin=source,
        manifest=origin,
    )


def tell(build: Build, type_: str, flat: Flattened, found: Prebuilt) -> None:
    """Say what the image became, and what was left out of it."""
    say(build.id, f"       {flat.files} files, {flat.size / 1024**2:.1f} MB, {flat.digest[:19]}")
    for what, count in flat.dropped.items():
        say(build.id, f"       Left out: {what} ({count})")
    tell_process(build, type_, found)


def tell_process(build: Build, type_: str, found: Prebuilt) -> None:
    say(build.id, f"       {type_} runs {found.command[:200]}")
    say(build.id, f"       as {runs_as(found)}")
    if type_ == WEB:
        say(build.id, f"       listening on port {found.port}, which $PORT says too")
    if found.volumes:
        say(
            build.id,
            f"       Not kept over a restart: {', '.join(found.volumes)} (the image calls them volumes)",
        )


def declared_check(process_type: str, image: Prebuilt) -> DeclaredCheck | None:
    """Return an image's HEALTHCHECK: asked from outside where it is one HTTP request, else run inside."""
    if image.path and process_type == WEB:
        return DeclaredCheck(path=image.path)
    return DeclaredCheck(command=image.check) if image.check else None


def _release(build: Build, found: Prebuilt, timings: dict[str, float]) -> None:
    """Release the image beside those of other process types that were deployed the same way before."""
    type_ = build.image["process_type"]
    before = newest_release(build.app)
    images = {**images_of(before.slug if before else None), type_: found}
    main = images.get(WEB) or found
    checks = {name: check for name, image in images.items() if (check := declared_check(name, image))}
    result = Result(
        process_types={name: image.command for name, image in images.items()},
        config_defaults={},
        health_checks=checks,
    )
    builds.succeed(build, main.ref, result, timings, images)
