"""buildah, as it runs in a build container: root of a user namespace, chroot isolation, layers in the app's cache.

In: what to build.  Out: images in its store, or in a folder; BuildError with the reason.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..command import Finished, run
from ..errors import BuildError
from ..output import Output
from . import namespaces

PROGRAM = "buildah"
POLICY = {"default": [{"type": "insecureAcceptAnything"}]}  # whose images are trusted is the app's business


@dataclass(frozen=True)
class Buildah:
    """`folder` is thrown away, `store` outlives the build. `auth` is the file of credentials for registries."""

    folder: Path
    store: Path
    driver: str
    env: Mapping[str, str]
    output: Output
    auth: str = ""

    def build(
        self, context: Path, dockerfile: Path, stage: str, arguments: Mapping[str, str],
        secrets: Mapping[str, Path], name: str,
    ) -> Finished:  # fmt: skip
        """Build one image. What it prints is shown; how it ended is the caller's to judge."""
        words = ["bud", *self._trusting, "--format", "docker", "--layers", "--isolation", "chroot"]
        words += ["--pull=false", "--tag", name, "--file", str(dockerfile)]
        words += ["--target", stage] if stage else []
        words += [f"--build-arg={key}={value}" for key, value in arguments.items()]
        words += [f"--secret=id={key},src={file}" for key, file in secrets.items()]
        return self._run(
            *words, str(context), shown=True, folder=context
        )  # oci-archive:FILE is relative to it

    def save(self, name: str, folder: Path) -> None:
        """Write an image with its manifest, configuration and plain layers, each file named by its content."""
        words = ("push", *self._trusting, "--quiet", "--format", "v2s2", "--disable-compression")
        self._must(*words, name, f"dir:{folder}")

    def has(self, name: str) -> bool:
        return self._run("inspect", "--type", "image", "--format", "{{.FromImageID}}", name).code == 0

    def pull(self, source: str) -> str:
        return self._must("pull", *self._trusting, "--quiet", source).lines[-1].strip()

    def tag(self, image: str, name: str) -> None:
        self._must("tag", image, name)

    @property
    def _trusting(self) -> tuple[str, ...]:
        return ("--signature-policy", str(self.folder / "policy.json"))

    def _must(self, *words: str) -> Finished:
        done = self._run(*words)
        if done.code:
            reason = next((line for line in reversed(done.lines) if line.strip()), "no reason given")
            raise BuildError("dockerfile_failed", f"buildah {words[0]} failed: {reason}")
        return done

    def _run(self, *words: str, shown: bool = False, folder: Path | None = None) -> Finished:
        places = ("--root", str(self.store), "--runroot", str(self.folder / "run"))
        argv = (PROGRAM, *places, "--storage-driver", self.driver, *words)
        return run(argv, cwd=folder or self.folder, env=self.env, output=self.output if shown else None)


def make_buildah(
    folder: Path,
    cache: Path,
    base_env: Mapping[str, str],
    output: Output,
    insecure: Sequence[str],
    auth: str = "",
) -> Buildah:
    """Write its settings, and choose how layers lie over each other. In namespaces of one's own only."""
    store, temporary = cache / "store", cache / "tmp"
    for place in (folder, store, temporary):
        place.mkdir(parents=True, exist_ok=True)
    driver = "overlay" if namespaces.can_overlay(cache / "probe") else "vfs"
    namespaces.mount_memory(store / f"{driver}-containers")
    (folder / "policy.json").write_text(json.dumps(POLICY))
    (folder / "storage.conf").write_text(f'[storage]\ndriver = "{driver}"\n')
    (folder / "registries.conf").write_text(_registries(insecure))
    (folder / "auth.json").write_text(auth or "{}")
    (folder / "auth.json").chmod(0o600)
    env = {
        **{name: base_env[name] for name in ("PATH", "LANG", "SSL_CERT_FILE") if name in base_env},
        **namespaces.MARKS,
        "HOME": str(folder),
        "XDG_RUNTIME_DIR": str(folder),
        "TMPDIR": str(temporary),  # cache mounts live here
        "CONTAINERS_STORAGE_CONF": str(folder / "storage.conf"),
        "CONTAINERS_REGISTRIES_CONF": str(folder / "registries.conf"),
        "REGISTRY_AUTH_FILE": str(folder / "auth.json"),
    }
    return Buildah(folder, store, driver, env, output, auth)


def _registries(insecure: Sequence[str]) -> str:
    lines = ['unqualified-search-registries = ["docker.io"]', 'short-name-mode = "permissive"']
    for name in insecure:
        lines += ["[[registry]]", f"location = {json.dumps(name)}", "insecure = true"]
    return "\n".join(lines) + "\n"
