"""Where images come from: which registries the platform speaks to, for whom, and where what they send is kept.

In: a reference to an image.  Out: the store of blobs and its bounds; nothing, or a refusal in words.
"""

from __future__ import annotations

import ipaddress
import socket
from pathlib import Path

from django.conf import settings

from paas.errors import InvalidParams
from paas.oci.errors import ImageError
from paas.oci.fetch import Puller
from paas.oci.layout import Blobs
from paas.oci.references import DOCKER, Source, parse_source
from paas.oci.tree import Limits


def blobs() -> Blobs:
    """The store of blobs: pulled, pushed and converted ones, each once."""
    return Blobs(Path(settings.PAAS.home) / "blobs")


def puller() -> Puller:
    return Puller(
        folder=Path(settings.PAAS.home) / "pulls",
        blobs=blobs(),
        insecure=frozenset(settings.PAAS.insecure_registries.split()),
        size_max=settings.PAAS.image_max,
        timeout=float(settings.PAAS.build_timeout),
        ca_bundle=settings.PAAS.own_ca_bundle,
    )


def limits() -> Limits:
    """What an image may be unpacked: three times what it may be compressed."""
    return Limits(bytes=3 * settings.PAAS.image_max)


def check_source(text: str) -> Source:
    """Return the reference. Raises InvalidParams for what is none."""
    try:
        return parse_source(text)
    except ImageError as error:
        raise InvalidParams(error.message, id=error.id) from error


def check_reachable(source: Source, *, admin: bool) -> None:
    """Raise ImageError for a registry on the platform's own machines or networks, unless its operator allows it.

    A tenant's reference must not make the platform knock at doors that the tenant cannot reach.
    """
    allowed = settings.PAAS.insecure_registries.split()
    if source.transport != DOCKER or admin or source.registry in allowed:
        return
    host, _, port = (
        source.registry.rpartition(":") if ":" in source.registry else (source.registry, "", "443")
    )
    try:
        found = socket.getaddrinfo(
            host.strip("[]"), int(port) if port.isdigit() else 443, type=socket.SOCK_STREAM
        )
    except OSError:
        return  # skopeo says so, in better words
    addresses = {ipaddress.ip_address(str(entry[4][0]).partition("%")[0]) for entry in found}
    if any(not address.is_global for address in addresses):
        raise ImageError(
            f"The registry {source.registry} is on a private network; an admin may use it, or allow it to all in "
            "PAAS_INSECURE_REGISTRIES.",
            id="registry_forbidden",
        )
