"""Bringing an image here with skopeo: from a registry, or from an archive.

In: a `Source`.  Out: its blobs in the shared store and the image's digest. What is in the store is not fetched again,
so a pull that was killed fetches only the rest.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from paas.oci.errors import ImageError
from paas.oci.layout import Blobs, layout_digest
from paas.oci.manifests import MANIFEST_MAX, Index, choose, digest_of, host_platform, parse
from paas.oci.references import DOCKER, Source

Say = Callable[[str], None]
POLL = 0.5  # seconds between two looks whether the pull is still wanted
LAYERS_MAX = 128
PROXIES = ("HTTPS_PROXY", "HTTP_PROXY", "NO_PROXY")
ENVIRONMENT = ("PATH", "SSL_CERT_FILE", *PROXIES, *(name.lower() for name in PROXIES))


class Cancelled(Exception):
    """Nobody wants the image any more."""


@dataclass(frozen=True)
class Puller:
    """Where pulls work (`folder`), where blobs are kept, which registries are spoken to without TLS, how large an
    image may be (compressed, bytes), and how long a pull may take (seconds)."""

    folder: Path
    blobs: Blobs
    insecure: frozenset[str] = frozenset()
    size_max: int = 4 * 1024**3
    timeout: float = 1800.0
    ca_bundle: Path | None = None  # None: what this host trusts

    def folder_made(self) -> Path:
        """Return the working folder, made if it is not there."""
        self.folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return self.folder


@dataclass(frozen=True)
class Pulled:
    """`digest` of the manifest in the store; `origin` is what the registry calls the same image ('' for an archive)."""

    digest: str
    origin: str


def pull(
    puller: Puller, source: Source, auth: str, say: Say, wanted: Callable[[], bool] = lambda: True
) -> Pulled:
    """Fetch an image. `auth` is the text of a containers-auth.json(5), '' for none. Raises ImageError, Cancelled."""
    if shutil.which("skopeo") is None:
        raise ImageError("skopeo is missing on the platform: apt install skopeo.", id="image_unavailable")
    puller.folder_made()
    puller.blobs.folder.mkdir(parents=True, exist_ok=True)
    with (
        _alone(puller, source),
        tempfile.TemporaryDirectory(prefix=".pull-", dir=puller.folder) as place,
    ):
        work = Path(place)
        authfile = work / "auth.json"
        authfile.touch(mode=0o600)
        authfile.write_text(auth or "{}")
        run = _Run(puller, source, work, say, wanted)
        origin, exact = "", source
        if source.transport == DOCKER:
            origin = run.resolve()
            exact = source.at(origin)
        layout = work / "layout"
        run.skopeo(
            "copy",
            *run.options("src-"),
            "--dest-shared-blob-dir",
            str(puller.blobs.folder),
            str(exact),
            f"oci:{layout}:image",
        )
        return Pulled(layout_digest(layout), origin)


@contextmanager
def _alone(puller: Puller, source: Source) -> Iterator[None]:
    """One pull per registry at a time: the second of two that need the same layer finds it."""
    name = hashlib.sha256(source.registry.encode()).hexdigest()[:16]
    with (puller.folder / f"lock-{name}").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


@dataclass(frozen=True)
class _Run:
    puller: Puller
    source: Source
    work: Path
    say: Say
    wanted: Callable[[], bool]

    def options(self, prefix: str = "") -> list[str]:
        words = (
            []
            if prefix and self.source.transport != DOCKER
            else [f"--{prefix}authfile={self.work / 'auth.json'}"]
        )
        if self.source.registry in self.puller.insecure:
            words.append(f"--{prefix}tls-verify=false")
        return words

    def resolve(self) -> str:
        """Return the digest of the manifest that this host can run. Raises ImageError with the platforms there are."""
        raw = self.skopeo("inspect", *self.options(), "--raw", str(self.source))
        document = parse(raw)
        if isinstance(document, Index):
            chosen = choose(document, host_platform())
            self.say(f"{self.source}: {chosen.digest[:19]} is for {host_platform()}")
            document = parse(
                self.skopeo("inspect", *self.options(), "--raw", str(self.source.at(chosen.digest)))
            )
            digest = chosen.digest
        else:
            digest = self.source.digest or digest_of(raw)
            if digest_of(raw) != digest:
                raise ImageError(
                    f"{self.source.registry} answered with another image than {digest[:19]}.",
                    id="image_damaged",
                )
        if isinstance(document, Index) or len(document.layers) > LAYERS_MAX:
            raise ImageError(f"{self.source} has an index in its index, or more than {LAYERS_MAX} layers.")
        size = sum(layer.size for layer in document.layers)
        if size > self.puller.size_max:
            raise ImageError(
                f"{self.source} has {size // 1024**2} MiB of layers; at most {self.puller.size_max // 1024**2} are "
                "taken (PAAS_IMAGE_MAX)."
            )
        missing = [one for one in {*document.layers} if not self.puller.blobs.path(one.digest).exists()]
        megabytes = sum(one.size for one in missing) / 1024**2
        self.say(
            f"{self.source}: {len(document.layers)} layers, {len(missing)} to fetch ({megabytes:.1f} MiB)"
        )
        return digest

    def skopeo(self, *words: str) -> bytes:
        """Run skopeo until it is done, or nobody wants it. It dies with its caller. Raises ImageError."""
        command = [
            "setpriv",
            "--pdeathsig",
            "KILL",
            "skopeo",
            "--insecure-policy",
            "--tmpdir",
            str(self.work),
        ]
        command += ["--command-timeout", f"{self.puller.timeout:.0f}s", *words]
        environ = {name: os.environ[name] for name in ENVIRONMENT if name in os.environ}
        environ |= {"HOME": str(self.work), "TMPDIR": str(self.work)}
        if self.puller.ca_bundle:
            environ["SSL_CERT_FILE"] = str(self.puller.ca_bundle)
        out, err = self.work / "out", self.work / "err"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=stdout, stderr=stderr, env=environ
            )
            try:
                self._wait(process)
            except BaseException:
                process.kill()
                process.wait()
                raise
        if process.returncode:
            raise translate(self.source, err.read_text(errors="replace"))
        with out.open("rb") as file:
            return file.read(MANIFEST_MAX + 1)

    def _wait(self, process: subprocess.Popen[bytes]) -> None:
        while True:
            try:
                process.wait(POLL)
                return
            except subprocess.TimeoutExpired:
                if not self.wanted():
                    raise Cancelled from None


# What skopeo says, our id for it, and our words.
_PHRASES: tuple[tuple[tuple[str, ...], str, str], ...] = (
    (
        ("manifest unknown", "name unknown", "repository name not known"),
        "image_not_found",
        "does not exist: check name and tag",
    ),
    (
        ("unauthorized", "authentication required", "denied", "403"),
        "image_forbidden",
        "may not be read: give credentials with --auth-file, or check them",
    ),
    (
        ("server gave http response to https client", "does not look like a tls handshake"),
        "registry_insecure",
        "is in a registry without TLS; only those named in PAAS_INSECURE_REGISTRIES are spoken to so",
    ),
    (
        ("certificate",),
        "registry_untrusted",
        "is in a registry whose certificate this platform does not trust: add its authority to the host",
    ),
    (("no space left",), "storage_full", "does not fit: the platform's disk is full"),
    (
        ("digest did not match", "digest mismatch", "does not match digest", "digests did not match"),
        "image_damaged",
        "is damaged: what came does not have the digest that names it; nothing was kept",
    ),
    (
        (
            "no such host",
            "connection refused",
            "timeout",
            "deadline exceeded",
            "unreachable",
            "connection reset",
        ),
        "registry_unavailable",
        "cannot be fetched: its registry does not answer",
    ),
    (("no image found in",), "image_platform", f"is not made for {host_platform()}"),
    (
        (
            "no such file",
            "not found in archive",
            "choose an image",
            "unexpected eof",
            "archive/tar",
            "file does not",
        ),
        "image_refused",
        "is no archive of one image",
    ),
)


def translate(source: Source, text: str) -> ImageError:
    """Return skopeo's complaint in the platform's words, its own last words added."""
    said = " ".join(text.split())
    words = said.rpartition("level=fatal msg=")[2].strip('" ')[-400:]
    for signs, id_, sentence in _PHRASES:
        if any(sign.lower() in said.lower() for sign in signs):
            return ImageError(f"{source} {sentence}. ({words})", id=id_)
    return ImageError(f"{source} could not be fetched: {words or 'no reason given'}.", id="image_unavailable")
