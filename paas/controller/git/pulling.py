"""The other direction: one commit fetched from a git server elsewhere, shallow, by https, http or ssh.

In: a `Remote` and what to fetch.  Out: the commit's source tar, made by the same ingest and export, with the same
checks, as a push; SourceError in the user's words. No git program runs here: no hook, filter or transport of git's can.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

import urllib3
from dulwich.client import (
    FetchPackResult,
    HTTPUnauthorized,
    SSHGitClient,
    Urllib3HttpGitClient,
)
from dulwich.errors import GitProtocolError, HangupException, NotGitRepository
from dulwich.object_store import ObjectStoreGraphWalker

from paas.controller.git.export import commit_subject, write_source_tar
from paas.controller.git.ingest import ingest
from paas.controller.git.limits import Limits, size
from paas.controller.git.objects import COMMIT, TAG, References
from paas.controller.git.packstore import PackStore, open_store
from paas.controller.git.port import GitRefused
from paas.controller.git.ssh import Vendor
from paas.sources.addresses import Reach
from paas.sources.cutoff import Cutoff, too_slow
from paas.sources.errors import SourceError
from paas.sources.http import pool_of, reason_of
from paas.sources.urls import GitUrl

HEX = re.compile(r"[0-9a-f]{40}")
SHORT = re.compile(r"[0-9a-f]{7,39}")
REFS_MOST = 32 << 20  # bytes of a server's list of refs
SECONDS = 600.0
LISTED = 20
TAG_DEPTH = 5


@dataclass(frozen=True)
class Remote:
    """A repository elsewhere and what opens it. `key`: a private key for ssh; `host_keys`: known_hosts lines."""

    url: GitUrl
    reach: Reach
    ca: Path | None = None
    token: str = field(default="", repr=False)
    token_user: str = ""
    key: str = field(default="", repr=False)
    host_keys: str = ""


@dataclass(frozen=True)
class Pulled:
    """What came, and the host keys of an ssh server as they are known now."""

    commit: str
    subject: str
    submodules: tuple[str, ...]
    host_keys: str = ""


@dataclass
class Budget:
    """What a fetch may still cost. `wanted` says whether somebody waits for it."""

    left: int
    deadline: float
    wanted: Callable[[], None]
    most: int = 0
    looked: float = 0.0

    @property
    def over(self) -> bool:
        return time.monotonic() >= self.deadline

    def spend(self, count: int) -> None:
        self.left -= count
        if self.left < 0:
            raise SourceError(
                f"The repository sends more than {size(self.most)} for one commit. Keep big files out of git.",
                id="source_too_large",
            )
        if self.over:
            raise too_slow("Fetching the repository", SECONDS)
        if time.monotonic() - self.looked > 1:
            self.looked = time.monotonic()
            self.wanted()

    def grow(self, left: int) -> None:
        self.left = self.most = left


class _HttpClient(Urllib3HttpGitClient):
    """Counts what it reads; speaks the smart protocol only."""

    def __init__(self, remote: Remote, pool: urllib3.PoolManager, budget: Budget) -> None:
        user = remote.token_user or ("x-access-token" if remote.token else None)
        super().__init__(
            remote.url.origin, pool_manager=pool, username=user, password=remote.token or None, quiet=True
        )
        self._budget = budget

    def _http_request(self, *arguments: Any, **options: Any) -> Any:
        response, read = super()._http_request(*arguments, **options)
        return response, _counted(read, self._budget)

    def _discover_references(self, *arguments: Any, **options: Any) -> Any:
        found = super()._discover_references(*arguments, **options)
        if self.dumb:
            raise SourceError("The server speaks only git's old dumb protocol; another one is needed.")
        return found


class _SshClient(SSHGitClient):
    """Counts what it reads."""

    def __init__(self, url: GitUrl, vendor: Vendor, budget: Budget) -> None:
        super().__init__(url.host, url.port or 22, url.user, vendor=vendor, quiet=True)
        self._budget = budget

    def _connect(self, *arguments: Any, **options: Any) -> Any:
        protocol, *others = super()._connect(*arguments, **options)
        protocol.read = _counted(protocol.read, self._budget)
        return protocol, *others


def _counted(read: Callable[..., bytes], budget: Budget) -> Callable[..., bytes]:
    def counted(*arguments: Any) -> bytes:
        data = read(*arguments)
        budget.spend(len(data))
        return data

    return counted


def pull(
    remote: Remote, ref: str, folder: Path, tar: Path, limits: Limits, wanted: Callable[[], None]
) -> Pulled:
    """Fetch `ref` (a branch, tag or commit) and write its files to `tar`. `folder` is for what comes in between;
    `wanted` is called now and then, and raises to stop it. Raises SourceError."""
    budget = Budget(REFS_MOST, time.monotonic() + SECONDS, wanted, REFS_MOST)
    chosen: list[bytes] = []

    def wants(refs: Mapping[bytes, bytes], depth: int | None = None) -> list[bytes]:
        chosen.append(choose(refs, ref))
        budget.grow(limits.max_pack)
        return list(chosen)

    raw = folder / "fetched.pack"
    try:
        with raw.open("xb") as file:
            known = _fetched(remote, wants, file, budget)
        found = _exported(raw, bytes.fromhex(chosen[0].decode()), folder, tar, limits)
    except GitRefused as error:
        raise SourceError(f"{remote.url.text}: {error}.", id="source_invalid") from error
    finally:
        raw.unlink(missing_ok=True)
    return Pulled(*found, known)


def _fetched(remote: Remote, wants: Any, file: BinaryIO, budget: Budget) -> str:
    """Write the pack to `file`; returns the known host keys. Foreign exceptions end here."""
    try:
        if remote.url.scheme == "ssh":
            return _by_ssh(remote, wants, file, budget)
        check_token(remote)
        with Cutoff(max(0.0, budget.deadline - time.monotonic())) as cutoff:
            pool = pool_of(remote.reach, cutoff, remote.ca)
            try:
                _fetch(_HttpClient(remote, pool, budget), remote.url.path, wants, file, budget)
            finally:
                pool.clear()
    except NotGitRepository as error:
        raise SourceError(
            f"There is no repository at {remote.url.text}, or it is private: check the URL, or connect it with a token."
        ) from error
    except HTTPUnauthorized as error:
        said = "does not accept the token" if remote.token else "wants credentials: connect it with a token"
        raise SourceError(f"{remote.url.text} {said}.") from error
    except (GitProtocolError, HangupException, urllib3.exceptions.HTTPError, ValueError, OSError) as error:
        if budget.over:
            raise too_slow(remote.url.text, SECONDS) from error
        raise SourceError(
            f"{remote.url.text} could not be fetched ({reason_of(error)}). Check its URL, or try again later."
        ) from error
    return ""


def _by_ssh(remote: Remote, wants: Any, file: BinaryIO, budget: Budget) -> str:
    url = remote.url
    with Vendor(remote.reach, remote.key, remote.host_keys, budget.deadline) as vendor:
        try:
            _fetch(_SshClient(url, vendor, budget), url.path, wants, file, budget)
        except (GitProtocolError, HangupException, OSError) as error:
            if budget.over:
                raise too_slow(url.text, SECONDS) from error
            raise SourceError(vendor.explain(url.text, str(error))) from error
        return vendor.host_keys()


def check_token(remote: Remote) -> None:
    """A token does not travel in clear text, but on the operator's own network. Raises SourceError."""
    url = remote.url
    if remote.token and url.scheme == "http" and not remote.reach.own(url.host, url.port or 80):
        raise SourceError(
            f"A token is not sent over http: connect https://{url.host}{url.path}.", id="source_forbidden"
        )


def _fetch(client: Any, path: str, wants: Any, file: BinaryIO, budget: Budget) -> FetchPackResult:
    def take(data: bytes) -> int:
        budget.spend(0)
        return file.write(data)

    walker = ObjectStoreGraphWalker([], lambda sha: [])
    prefixes = [b"HEAD", b"refs/heads/", b"refs/tags/"]
    answer: FetchPackResult = client.fetch_pack(
        path, wants, walker, take, progress=lambda words: budget.spend(0), depth=1, ref_prefix=prefixes
    )
    return answer


def choose(refs: Mapping[bytes, bytes], ref: str) -> bytes:
    """Return the id that a branch, tag, full name or commit means. Raises SourceError listing what there is."""
    for name in (ref, f"refs/heads/{ref}", f"refs/tags/{ref}"):
        if name.encode() in refs and (name.startswith("refs/") or name == "HEAD"):
            return refs[name.encode()]
    if HEX.fullmatch(ref) and ref.strip("0"):
        return ref.encode()
    near = {sha for sha in refs.values() if SHORT.fullmatch(ref) and sha.startswith(ref.encode())}
    if len(near) == 1:
        return near.pop()
    heads = sorted(name[11:].decode(errors="replace") for name in refs if name.startswith(b"refs/heads/"))
    there = ", ".join(heads[:LISTED]) + (" …" if len(heads) > LISTED else "")
    raise SourceError(f"The repository has no branch, tag or commit {ref}. Its branches: {there or 'none'}.")


def _exported(
    raw: Path, tip: bytes, folder: Path, tar: Path, limits: Limits
) -> tuple[str, str, tuple[str, ...]]:
    packs = folder / "pack"
    packs.mkdir()
    with raw.open("rb") as file:
        ingest(file.read, packs, limits, References(), lambda sha: None)
    with open_store(folder, packs) as store:
        commit = _commit_of(store, tip)
        exported = write_source_tar(store, commit, tar, limits)
        return commit.hex(), commit_subject(store, commit), exported.submodules


def _commit_of(store: PackStore, sha: bytes) -> bytes:
    """Return the commit that a tag, or a tag of a tag, names."""
    for _ in range(TAG_DEPTH):
        found = store.get_bytes(sha)
        if found is None:
            raise SourceError(
                f"The repository does not give out the commit {sha.hex()}; name a branch or tag."
            )
        kind, data = found
        if kind == COMMIT:
            return sha
        if kind != TAG:
            break
        sha = bytes.fromhex(data[7:47].decode())
    raise SourceError("What is named is neither a commit nor a tag of one.", id="source_invalid")
