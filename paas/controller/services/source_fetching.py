"""Sources that the platform fetches itself: from a URL, or from the git repository that an app is connected to.

In: a build's row that says where its source is.  Out: the tar that builds take, with the same checks as a push.
"""

from __future__ import annotations

import hmac
import re
import tempfile
from collections.abc import Callable, Collection
from dataclasses import dataclass
from pathlib import Path

from django.conf import settings

from paas.controller.encryption import decrypt
from paas.controller.git.limits import from_settings
from paas.controller.git.pulling import Remote, pull
from paas.controller.models import App, Build, Source, User
from paas.controller.selectors.config import config_vars
from paas.controller.services import build_output
from paas.controller.services.builds import create_build, source_path
from paas.controller.texts import storable
from paas.errors import InvalidParams
from paas.oci.fetch import Cancelled
from paas.slugbuilder.dockerfile.source_files import read_files
from paas.sources.addresses import Reach, parse_networks
from paas.sources.archives import normalize
from paas.sources.errors import SourceError
from paas.sources.http import check_url, download, shown
from paas.sources.urls import parse_git_url

CHECKSUM = re.compile(r"(?:sha256:)?([0-9a-f]{64})")
SUBMODULE = "Warning: {} is a submodule; its files are not part of the source and not deployed."


@dataclass(frozen=True)
class Fetched:
    """What is known once a source is there."""

    commit: str = ""
    message: str = ""
    submodules: tuple[str, ...] = ()


def reach() -> Reach:
    """Where sources may come from. Raises InvalidParams when the operator's setting is wrong."""
    given = settings.PAAS.source_networks
    try:
        return Reach(parse_networks(given))
    except ValueError as error:
        raise InvalidParams(
            f"PAAS_SOURCE_NETWORKS={given!r} of this platform cannot be used: {error}. Ask who runs it."
        ) from error


def parse_checksum(text: str) -> str:
    """Return the hex digits of `SHA256:…`, as Heroku writes it; '' for none. Raises InvalidParams."""
    match = CHECKSUM.fullmatch(text.strip().lower())
    if text.strip() and match is None:
        raise InvalidParams("source_blob.checksum must be SHA256: and 64 hexadecimal digits.")
    return match[1] if match else ""


def check_digest(found: str, wanted: str) -> None:
    """Raise SourceError unless an archive is the one that was meant. '' wants nothing."""
    if wanted and not hmac.compare_digest(found, wanted):
        raise SourceError(
            f"The source has the checksum SHA256:{found}, not SHA256:{wanted}. Send the archive that was meant.",
            id="source_checksum",
        )


def build_from_url(user: User, app: App, url: str, checksum: str, version: str, message: str) -> Build:
    """Queue a build whose worker fetches an archive. Raises SourceError for a URL that is never fetched."""
    source = {"kind": "url", "url": shown(check_url(url))}
    if checksum:
        source["checksum"] = f"SHA256:{checksum}"
    reach()
    return create_build(
        user, app, source=source, secret=url, commit=version, commit_message=message, origin="source"
    )


def source_arguments(app: App) -> tuple[str, ...]:
    """Return what the builder is told of the folder that it shall build."""
    path = folder_of(app)
    return (f"--project-path={path}",) if path else ()


def folder_of(app: App) -> str:
    """The app's setting, else its config var PROJECT_PATH, as the buildpack for monorepos has it."""
    return app.source_path or config_vars(app).get("PROJECT_PATH", "").strip().strip("/")


def files_of(build: Build, names: Collection[str]) -> dict[str, bytes]:
    """Return small files of the folder that is built. Raises ValueError, Unreadable as `read_files` does."""
    folder = folder_of(build.app)
    start = f"{folder}/" if folder else ""
    found = read_files(source_path(build.id), [f"{start}{name}" for name in names])
    return {path[len(start) :]: data for path, data in found.items()}


def bring(build: Build, wanted: Callable[[], bool]) -> None:
    """Fetch the source of a build that came without one. Safe to repeat. Raises SourceError, Cancelled."""
    kept = source_path(build.id)
    if not build.source or kept.exists():
        return
    with tempfile.TemporaryDirectory(prefix=".fetch-", dir=kept.parent) as place:
        tar = Path(place) / "source.tar"
        build_output.write(build.id, f"-----> Fetching {build.source['url']}")
        found = MAKERS[build.source["kind"]](build, Path(place), tar, wanted)
        note(build, found)
        if not wanted():
            raise Cancelled
        tar.replace(kept)
    tell_submodules(build, found.submodules)


def note(build: Build, found: Fetched) -> None:
    """Keep which commit came, for whoever looks at the build, its slug and its release."""
    build.commit = storable(found.commit)[:64] or build.commit
    build.commit_message = storable(found.message)[:500] or build.commit_message
    Build.objects.filter(id=build.id).update(commit=build.commit, commit_message=build.commit_message)


def tell_submodules(build: Build, paths: tuple[str, ...]) -> None:
    for path in paths:
        build_output.write(build.id, SUBMODULE.format(path))


def _from_url(build: Build, folder: Path, tar: Path, wanted: Callable[[], bool]) -> Fetched:
    archive = folder / "archive"
    url = decrypt(build.credentials_encrypted).decode()
    digest = download(url, archive, reach(), ca=settings.PAAS.ca_bundle, wanted=_watch(wanted))
    check_digest(digest, build.source.get("checksum", "").rpartition(":")[2])
    found = normalize(archive, tar)
    return Fetched(found.commit, "", found.submodules)


def _from_git(build: Build, folder: Path, tar: Path, wanted: Callable[[], bool]) -> Fetched:
    source = Source.objects.filter(app_id=build.app_id, url=build.source["url"]).first()
    if source is None:
        raise SourceError(
            f"The app is not connected to {build.source['url']} any more. Build what it is connected to with "
            "`paas source:deploy`, or connect this repository again with `paas source:connect`."
        )
    found = pull(_remote(source), build.source["ref"], folder, tar, from_settings(), _watch(wanted))
    if found.host_keys and not source.host_keys:
        Source.objects.filter(id=source.id, url=source.url).update(host_keys=found.host_keys)
    return Fetched(found.commit, found.subject, found.submodules)


def _watch(wanted: Callable[[], bool]) -> Callable[[], None]:
    def watch() -> None:
        if not wanted():
            raise Cancelled

    return watch


def _remote(source: Source) -> Remote:
    def opened(value: bytes | memoryview) -> str:
        return decrypt(value).decode() if value else ""

    return Remote(
        parse_git_url(source.url),
        reach(),
        settings.PAAS.ca_bundle,
        opened(source.token_encrypted),
        source.token_user,
        opened(source.key_encrypted),
        source.host_keys,
    )


MAKERS: dict[str, Callable[[Build, Path, Path, Callable[[], bool]], Fetched]] = {
    "url": _from_url,
    "git": _from_git,
}
