"""Java's keystore of trusted certificates, without the times at which each was put there.

In: a JKS file as Debian's ca-certificates-java makes it.  Out: the same with all times 0, signed anew; what is no such
file stays as it is. The format is that of sun.security.provider.JavaKeyStore.
"""

from __future__ import annotations

import hashlib
import struct

PLACE = "etc/ssl/certs/java/cacerts"
PASSWORD = "changeit"  # noqa: S105 - everybody's: it guards against damage, not against people
MAGIC = 0xFEEDFEED
VERSION = 2
CERTIFICATE = 2  # the kind of an entry
DIGEST_BYTES = 20


def undated(data: bytes, password: str = PASSWORD) -> bytes:
    """Return the keystore with all times 0; `data` itself when it is no keystore of certificates, or damaged."""
    body, digest = data[:-DIGEST_BYTES], data[-DIGEST_BYTES:]
    if _signature(body, password) != digest:
        return data
    try:
        plain = _without_times(body)
    except (struct.error, ValueError):
        return data
    return plain + _signature(plain, password)


def _signature(body: bytes, password: str) -> bytes:
    return hashlib.sha1(
        password.encode("utf-16-be") + b"Mighty Aphrodite" + body, usedforsecurity=False
    ).digest()


def _without_times(body: bytes) -> bytes:
    magic, version, count = struct.unpack_from(">III", body)
    if (magic, version) != (MAGIC, VERSION):
        raise ValueError("no keystore")
    plain, at = bytearray(body), 12
    for _ in range(count):
        (kind,) = struct.unpack_from(">I", body, at)
        if kind != CERTIFICATE:
            raise ValueError("an entry that is no certificate")
        at = _after_text(body, at + 4)
        plain[at : at + 8] = bytes(8)
        at = _after_text(body, at + 8)
        (size,) = struct.unpack_from(">I", body, at)
        at += 4 + size
    if at != len(body):
        raise ValueError("more than its entries")
    return bytes(plain)


def _after_text(body: bytes, at: int) -> int:
    """Return where a text with its length ahead ends."""
    (size,) = struct.unpack_from(">H", body, at)
    return at + 2 + int(size)
