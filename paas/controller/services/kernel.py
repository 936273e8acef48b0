"""Changing the kernel parameters of an app: sysctls and ulimits of all its processes.

In: names with new values as people write them, or None to go back to the host's default.  Out: a release, or None
when nothing changes.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from django.db import transaction

from paas.controller.models import App, Release, User
from paas.controller.selectors.kernel import KernelParameters, kernel_parameters
from paas.controller.services.locking import lock_app
from paas.controller.services.releases import create_release
from paas.errors import InvalidParams
from runtime.model import parse_sysctl, parse_ulimit

Changes = Mapping[str, str | None]
Value = TypeVar("Value")


def set_kernel(
    user: User, app: App, sysctls: Changes | None = None, ulimits: Changes | None = None
) -> Release | None:
    """Apply the changes in one release. Raises InvalidParams before anything changes."""
    try:
        new_sysctls = {name: _read(parse_sysctl, name, text) for name, text in (sysctls or {}).items()}
        new_ulimits = {name: _read(parse_ulimit, name, text) for name, text in (ulimits or {}).items()}
    except ValueError as error:
        raise InvalidParams(str(error)) from error
    with transaction.atomic():
        app = lock_app(app.id)
        before = kernel_parameters(app)
        after = KernelParameters(_merge(before.sysctls, new_sysctls), _merge(before.ulimits, new_ulimits))
        if after == before:
            return None
        return create_release(user, app, Release.Kind.KERNEL, describe(before, after), kernel=after.stored)


def describe(before: KernelParameters, after: KernelParameters) -> str:
    """Return a release's description: what is set, with values, and what is back at the host's default."""
    old, new = (flatten(parameters) for parameters in (before, after))
    written = [f"{name}={value}" for name, value in sorted(new.items()) if old.get(name) != value]
    removed = sorted(set(old) - set(new))
    parts = []
    if written:
        parts.append(f"Set kernel parameters {', '.join(written)}")
    if removed:
        parts.append(f"{'unset' if written else 'Unset'} kernel parameters {', '.join(removed)}")
    return " and ".join(parts)


def flatten(parameters: KernelParameters) -> dict[str, str]:
    """Return both kinds in one: the name of a sysctl has dots, that of a ulimit has none."""
    return {name: value for part in parameters.texts.values() for name, value in part.items()}


def _read(parse: Callable[[str, str], Value], name: str, text: str | None) -> Value | None:
    """What is to be unset needs no more than a name: the list of what is allowed may have been longer once."""
    return None if text is None else parse(name, text)


def _merge(before: dict[str, Value], changes: dict[str, Value | None]) -> dict[str, Value]:
    kept = {name: value for name, value in before.items() if name not in changes}
    return kept | {name: value for name, value in changes.items() if value is not None}
