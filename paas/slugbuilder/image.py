"""The builder image: what a build container has on top of its stack. Runs on the host.

In: this package, uv, the host's certificates, Cloud Native Buildpacks of the operator.  Out: one squashfs with
everything below /opt/paas.
"""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import ssl
import tempfile
from pathlib import Path

from uv import find_uv_bin

from .bytecode import SOURCES_FILE
from .squash import BuiltImage, pack

HERE = Path(__file__).resolve().parent
HOST_ONLY = frozenset(
    {
        "image.py",
        "squash.py",
        "stacks.py",
        "stack_making.py",
        "stack_definitions.py",
        "heroku_yml.py",
        "source_files.py",
    }
    | {"language_definitions.py", "language_detection.py", "language_making.py"}
)
FORMAT = "builder-1"
RUN_BUILD = """\
#!/usr/bin/python3 -I
# The program of a build container. Isolated: config vars such as PYTHONPATH are the app's, not the builder's.
import sys

sys.path.insert(0, "/opt/paas")
from slugbuilder.__main__ import main

sys.exit(main(sys.argv[1:]))
"""


def build_builder_image(
    target_dir: Path, buildpacks: Path | None = None, ca_bundle: Path | None = None
) -> BuiltImage:
    """Make `builder.squashfs` in `target_dir`, or return the one there when its inputs are unchanged.

    Reproducible: the same inputs give the same digest. `builder.json` beside it remembers inputs and digest.
    """
    target_dir.mkdir(parents=True, exist_ok=True)
    image, note = target_dir / "builder.squashfs", target_dir / "builder.json"
    uv, bundle = Path(find_uv_bin()), host_ca_bundle(ca_bundle)
    offered = buildpacks if buildpacks is not None and buildpacks.is_dir() else None
    inputs = inputs_hash(uv, bundle, offered)
    known = read_note(note, inputs, image)
    if known is not None:
        return known
    with tempfile.TemporaryDirectory(prefix=".builder-", dir=target_dir) as folder:
        root = Path(folder) / "root"
        fill(root, uv, bundle, offered)
        made = pack(root, Path(folder) / "image", exclude=("... __pycache__",))
        note.unlink(missing_ok=True)
        made.path.replace(image)
    write_atomically(note, {"inputs": inputs, "digest": made.digest, "size": made.size})
    return BuiltImage(image, made.digest, made.size)


def host_ca_bundle(wanted: Path | None = None) -> Path | None:
    """The authorities that builds trust: the operator's, else this host's, through whose network they go."""
    candidates = [
        str(wanted or ""),
        os.environ.get("SSL_CERT_FILE", ""),
        "/etc/ssl/certs/ca-certificates.crt",
    ]
    candidates.append(ssl.get_default_verify_paths().cafile or "")
    return next((Path(name) for name in candidates if name and Path(name).is_file()), None)


def sources() -> list[Path]:
    """The files of this package that run inside, sorted."""
    return [path for path in sorted(HERE.rglob("*.py")) if path.name not in HOST_ONLY]


def sources_hash() -> str:
    digest = hashlib.sha256()
    for path in sources():
        digest.update(f"{path.relative_to(HERE)}\0".encode() + path.read_bytes() + b"\0")
    return digest.hexdigest()


def inputs_hash(uv: Path, bundle: Path | None, offered: Path | None = None) -> str:
    """A hash of everything that goes in. uv is known by size and time: reading 40 MB on every start is not worth it."""
    status = uv.stat()
    digest = hashlib.sha256(f"{FORMAT}\0{RUN_BUILD}\0{sources_hash()}\0".encode())
    digest.update(f"uv\0{status.st_size}\0{status.st_mtime_ns}\0".encode())
    digest.update(bundle.read_bytes() if bundle else b"")
    if offered:
        digest.update(b"buildpacks\0" + listing(offered))
    return digest.hexdigest()


def listing(folder: Path) -> bytes:
    """Everything in a folder by name, kind, size and time: editing a file changes it."""
    entries = ((path, path.lstat()) for path in sorted(folder.rglob("*")))
    lines = (
        f"{path.relative_to(folder)}\0{known.st_mode}\0{known.st_size}\0{known.st_mtime_ns}\n"
        for path, known in entries
    )
    return "".join(lines).encode("utf-8", "surrogateescape")


def read_note(note: Path, inputs: str, image: Path) -> BuiltImage | None:
    try:
        known = json.loads(note.read_text())
        if known["inputs"] == inputs and image.stat().st_size == known["size"]:
            return BuiltImage(image, known["digest"], known["size"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    return None


def write_atomically(note: Path, value: dict[str, object]) -> None:
    half = note.with_suffix(".half")
    half.write_text(json.dumps(value) + "\n")
    half.replace(note)


def fill(root: Path, uv: Path, bundle: Path | None, offered: Path | None = None) -> None:
    """Lay out the image. Modes are set, not inherited from the checkout."""
    platform = root / "opt" / "paas"
    for path in sources():
        copy(path, platform / "slugbuilder" / path.relative_to(HERE), 0o644)
    copy(uv, platform / "bin" / "uv", 0o755)
    program = platform / "bin" / "slugbuilder"
    program.write_text(RUN_BUILD)
    program.chmod(0o755)
    (platform / "slugbuilder" / SOURCES_FILE).write_text(sources_hash())
    if bundle is not None:
        copy(bundle, platform / "etc" / "ca-certificates.crt", 0o644)
    if offered is not None:
        offer(offered, platform / "cnb")
    for folder in (root, *(path for path in root.rglob("*") if path.is_dir() and not path.is_symlink())):
        folder.chmod(0o755)


def offer(buildpacks: Path, target: Path) -> None:
    """Copy the operator's buildpacks: readable for builds, what lies in bin/ can be run."""
    shutil.copytree(buildpacks, target, symlinks=True)
    for path in target.rglob("*"):
        if path.is_file() and not path.is_symlink():
            runs = path.stat().st_mode & 0o111 or path.parent.name == "bin"
            path.chmod(0o755 if runs else 0o644)


def copy(source: Path, target: Path, mode: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)
    target.chmod(mode)
