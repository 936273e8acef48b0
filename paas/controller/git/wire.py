"""Lines of git's wire protocol that both directions need (gitprotocol-pack(5), gitprotocol-http(5)).

In: refs, capabilities, texts.  Out: pkt-lines, sideband packets, a ref advertisement.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import cast

from dulwich.objects import ZERO_SHA, ObjectID
from dulwich.protocol import pkt_line
from dulwich.refs import HEADREF, Ref
from dulwich.repo import Repo
from dulwich.server import BackendRepo, DictBackend

KEEPALIVE = b"0005\x02"
FLUSH = b"0000"
_CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
_MAX_LINE = 8192
_OBJECT_FORMAT = b"object-format=sha1"
_AGENT = b"agent=paas"


def single(repo: Repo) -> DictBackend:
    """Return a dulwich server backend with one repository, at the path /."""
    repositories: dict[str, BackendRepo] = {"/": cast(BackendRepo, repo)}
    return DictBackend(repositories)


def clean_line(text: str) -> str:
    """Return `text` without control characters (a build's output must not steer the pusher's terminal)."""
    return _CONTROL.sub("", text.replace("\n", " "))[:_MAX_LINE]


def sideband(channel: int, data: bytes) -> bytes:
    """Return `data` (at most 65,515 bytes) as one sideband packet."""
    return pkt_line(bytes((channel,)) + data)


def remote_line(text: str) -> bytes:
    """Return a line that the client shows as `remote: text`."""
    return sideband(2, clean_line(text).encode() + b"\n")


def error_packet(text: str) -> bytes:
    """Return a packet that ends the conversation: the client shows `fatal: remote error: text`."""
    return pkt_line(b"ERR " + clean_line(text).encode())


def advertise(service: bytes, repo: Repo, capabilities: Iterable[bytes], *, fetch: bool) -> bytes:
    """Return the answer to info/refs. For fetches also HEAD, the peeled tags and the commits without parents here."""
    refs: dict[Ref, ObjectID] = {
        ref: sha for ref, sha in sorted(repo.get_refs().items()) if ref.startswith(b"refs/")
    }
    symref = repo.refs.get_symrefs().get(HEADREF)
    lines = list(refs.items())
    if fetch and symref in refs:
        lines.insert(0, (HEADREF, refs[symref]))
    caps = [*capabilities, _OBJECT_FORMAT, _AGENT]
    if fetch and symref is not None:
        caps.append(b"symref=HEAD:" + symref)
    out = bytearray(pkt_line(b"# service=" + service + b"\n") + FLUSH)
    names = lines or [(Ref(b"capabilities^{}"), ZERO_SHA)]
    for number, (ref, sha) in enumerate(names):
        out += pkt_line(sha + b" " + ref + (b"\0" + b" ".join(caps) if number == 0 else b"") + b"\n")
        peeled = repo.get_peeled(ref) if fetch and ref.startswith(b"refs/tags/") else None
        if peeled is not None and peeled != sha:
            out += pkt_line(peeled + b" " + ref + b"^{}\n")
    if fetch:
        out += b"".join(pkt_line(b"shallow " + sha + b"\n") for sha in sorted(repo.get_shallow()))
    return bytes(out + FLUSH)
