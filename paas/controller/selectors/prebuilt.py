"""Prebuilt images as processes: what runs, as whom, and on which port.

In: a release, a process type, a command.  Out: a frozen `Program`; slugs that the platform built run by their launcher.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from paas.controller.models import Release, Slug
from runtime import shapes
from runtime.model import Account, ImageRef

WEB = "web"
PORT = 8080  # every instance has its own address, so one port number serves them all
LAUNCHER = "/app/.paas/launch"  # written into the slug by the builder: profile scripts, then the command
APP_HOME = "/app"
SHELL = "/bin/sh"


class Prebuilt(msgspec.Struct, frozen=True, kw_only=True):
    """A flattened image of one process type, as a slug's row has it. `origin` says where it came from, `manifest` is
    the digest by which it came."""

    digest: str
    size: int
    argv: tuple[str, ...]
    env: dict[str, str] = {}
    cwd: str = "/"
    uid: int = 0
    gid: int = 0
    groups: tuple[int, ...] = ()
    port: int = PORT
    stop_signal: int = 15
    volumes: tuple[str, ...] = ()
    path: str = ""
    check: tuple[str, ...] = ()
    shell: bool = True
    origin: str = ""
    manifest: str = ""

    @property
    def ref(self) -> ImageRef:
        return ImageRef(digest=self.digest, size=self.size)

    @property
    def command(self) -> str:
        return shlex.join(self.argv)

    @property
    def account(self) -> Account:
        """Images that run as root get the capabilities that such images count on, inside their user namespace."""
        return Account(uid=self.uid, gid=self.gid, groups=self.groups, capable=self.uid == 0)


@dataclass(frozen=True)
class Program:
    """How one process is started."""

    argv: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: str = APP_HOME
    home: str = APP_HOME
    account: Account = Account()  # noqa: RUF009 - frozen
    foreign: bool = False
    stop_signal: int = 15
    port: int = PORT


def images_of(slug: Slug | None) -> dict[str, Prebuilt]:
    """Return the images of a slug by process type; none for one that the platform built."""
    stored: dict[str, Any] = slug.images if slug else {}
    return {type_: shapes.convert(values, Prebuilt) for type_, values in stored.items()}


def image_for(slug: Slug | None, process_type: str) -> Prebuilt | None:
    """Return the image that a process type runs from: its own, else that of `web`, else the first one."""
    images = images_of(slug)
    return images.get(process_type) or images.get(WEB) or next(iter(images.values()), None)


def program(release: Release, process_type: str, command: str) -> Program:
    """Return how to start `command`. An image's own command is run as it is, any other by the image's shell."""
    image = image_for(release.slug, process_type)
    if image is None:
        defaults: dict[str, str] = release.slug.config_defaults if release.slug else {}
        return Program((LAUNCHER, "-c", command), defaults)
    return Program(
        argv=argv_of(image, command),
        env=image.env,
        cwd=image.cwd,
        home=image.env.get("HOME", "/"),
        account=image.account,
        foreign=True,
        stop_signal=image.stop_signal,
        port=image.port,
    )


def argv_of(image: Prebuilt, command: str) -> tuple[str, ...]:
    """Return the words that run a command in an image. Raises ValueError for unbalanced quotes without a shell."""
    if command == image.command:
        return image.argv
    return words_of(command, shell=image.shell)


def words_of(command: str, *, shell: bool) -> tuple[str, ...]:
    """Return a command as an image runs it. Raises ValueError for unbalanced quotes without a shell."""
    return (SHELL, "-c", command) if shell else tuple(shlex.split(command))


def runs_as(image: Prebuilt) -> str:
    """Say whom an image runs as, and what that means."""
    if image.uid == 0:
        return "root of its own user namespace, with podman's 11 capabilities in it and none on the host"
    return f"user {image.uid}, group {image.gid}, without capabilities"


def layers(release: Release, process_type: str) -> tuple[ImageRef, ...]:
    """Return the layers that are the release's own: its slug, or the image of a process type."""
    image = image_for(release.slug, process_type)
    if image is not None:
        return (image.ref,)
    return slug_layers(release.slug) if release.slug else ()


def slug_layers(slug: Slug) -> tuple[ImageRef, ...]:
    """Return a slug's own images, the app's code on top."""
    below = (ImageRef(digest=layer["digest"], size=layer["size"]) for layer in slug.layers)
    return (ImageRef(digest=slug.digest, size=slug.size), *below)
