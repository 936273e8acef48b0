"""OCI images for tests, made from descriptions of files, hostile ones too.

In: layers as lists of tar entries, a configuration.  Out: an OCI layout, archives of it, copies in a registry.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import json
import platform
import subprocess
import tarfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

BUSYBOX = Path("/bin/busybox")
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MACHINE = {"x86_64": "amd64", "aarch64": "arm64"}.get(platform.machine(), platform.machine())
APPLETS = (
    "sh",
    "cat",
    "echo",
    "env",
    "httpd",
    "id",
    "kill",
    "ls",
    "sleep",
    "touch",
    "stat",
    "pwd",
    "chown",
    "mkdir",
)


@dataclass(frozen=True)
class File:
    """One entry of a layer. `type` is tar's; directories end in a slash, links have a `link`."""

    name: str
    data: bytes = b""
    mode: int = 0o644
    uid: int = 0
    gid: int = 0
    link: str = ""
    type: bytes = b""
    xattr: str = ""

    def header(self) -> tarfile.TarInfo:
        header = tarfile.TarInfo(self.name.rstrip("/"))
        header.type = self.type or (
            tarfile.DIRTYPE if self.name.endswith("/") else tarfile.SYMTYPE if self.link else tarfile.REGTYPE
        )
        header.mode, header.uid, header.gid, header.linkname = self.mode, self.uid, self.gid, self.link
        header.size, header.mtime = len(self.data), 1_700_000_000
        if self.xattr:
            header.pax_headers = {"SCHILY.xattr.security.capability": self.xattr}
        return header


def directory(name: str, mode: int = 0o755, uid: int = 0) -> File:
    return File(f"{name}/", mode=mode, uid=uid, gid=uid)


def busybox() -> list[File]:
    """Return a root with a shell, a web server and a few accounts."""
    links = [File(f"bin/{name}", link="busybox") for name in APPLETS]
    passwd = b"root:x:0:0:root:/root:/bin/sh\nweb:x:101:101::/srv:/bin/sh\n"
    return [
        *(directory(name) for name in ("bin", "dev", "etc", "proc", "root", "sys", "usr", "var")),
        directory("srv", uid=101),
        File("bin/busybox", BUSYBOX.read_bytes(), 0o755),
        *links,
        File("etc/passwd", passwd),
        File("etc/group", b"root:x:0:\nweb:x:101:\n"),
    ]


class Layout:
    """An OCI layout in `folder`; images are added, the last one is `latest`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        (folder / "blobs" / "sha256").mkdir(parents=True)
        (folder / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')

    def blob(self, data: bytes) -> dict[str, Any]:
        digest = hashlib.sha256(data).hexdigest()
        (self.folder / "blobs" / "sha256" / digest).write_bytes(data)
        return {"digest": f"sha256:{digest}", "size": len(data)}

    def layer(
        self, files: Sequence[File], compress: Callable[[bytes], bytes] | None = None
    ) -> tuple[dict[str, Any], str]:
        """Return a layer's descriptor and the digest of its tar."""
        plain = io.BytesIO()
        with tarfile.open(fileobj=plain, mode="w", format=tarfile.PAX_FORMAT) as archive:
            for file in files:
                archive.addfile(file.header(), io.BytesIO(file.data))
        tar = plain.getvalue()
        packed = (compress or (lambda data: gzip.compress(data, 1, mtime=0)))(tar)
        return {**self.blob(packed), "mediaType": LAYER}, f"sha256:{hashlib.sha256(tar).hexdigest()}"

    def image(
        self,
        *layers: tuple[dict[str, Any], str],
        architecture: str = MACHINE,
        history: bool = False,
        **config: Any,
    ) -> dict[str, Any]:
        """Add an image with Docker's words for its configuration (Cmd, Env, User ...); its descriptor.

        `history`: as images from a Dockerfile have it; buildah 1.28 takes no second step on top of one without.
        """
        document = {
            "architecture": architecture,
            "os": "linux",
            "config": {"Cmd": ["/bin/sh"], **config},
            "rootfs": {"type": "layers", "diff_ids": [diff_id for _, diff_id in layers]},
        }
        if history:
            document["history"] = [{"created_by": "a test"} for _ in layers]
        manifest = {
            "schemaVersion": 2,
            "mediaType": MANIFEST,
            "config": {**self.blob(json.dumps(document).encode()), "mediaType": CONFIG},
            "layers": [descriptor for descriptor, _ in layers],
        }
        made = {**self.blob(json.dumps(manifest).encode()), "mediaType": MANIFEST}
        return self.tag({**made, "platform": {"os": "linux", "architecture": architecture}})

    def index(self, *images: dict[str, Any]) -> dict[str, Any]:
        """Add an image for several platforms."""
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": list(images)}
        return self.tag({**self.blob(json.dumps(document).encode()), "mediaType": INDEX})

    def tag(self, descriptor: dict[str, Any]) -> dict[str, Any]:
        named = {**descriptor, "annotations": {"org.opencontainers.image.ref.name": "latest"}}
        document = {"schemaVersion": 2, "mediaType": INDEX, "manifests": [named]}
        (self.folder / "index.json").write_text(json.dumps(document))
        return descriptor

    def archive(self, file: Path) -> Path:
        """Write the layout as an OCI archive."""
        with tarfile.open(file, "w") as archive:
            for entry in sorted(self.folder.rglob("*")):
                archive.add(entry, entry.relative_to(self.folder), recursive=False)
        return file

    def push(self, target: str, *options: str) -> None:
        """Copy the latest image to a registry without TLS."""
        source = f"oci:{self.folder}:latest"
        skopeo("copy", "--all", "--dest-tls-verify=false", *options, source, f"docker://{target}")


def skopeo(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    command = ["skopeo", "--insecure-policy", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert not check or done.returncode == 0, done.stderr
    return done
