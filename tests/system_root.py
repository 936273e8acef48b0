"""A small root with python3 and a shell, copied from this machine: enough to build and run apps on, in seconds.

In: this machine's /usr.  Out: the files of an image's layer.
"""

from __future__ import annotations

import re
import subprocess
from functools import cache
from pathlib import Path

from tests.oci_images import File, directory

PROGRAMS = (
    *(
        "bash",
        "cat",
        "chmod",
        "cp",
        "dash",
        "env",
        "grep",
        "id",
        "ln",
        "ls",
        "mkdir",
        "nproc",
        "rm",
        "sed",
        "sleep",
    ),
    *("tail", "test", "touch", "true", "uname"),
)
LEFT_OUT = {
    "__pycache__",
    "test",
    "tests",
    "idlelib",
    "tkinter",
    "lib2to3",
    "ensurepip",
    "dist-packages",
    "turtledemo",
}


@cache
def root() -> tuple[File, ...]:
    """Return the files; python3 is the system's own, whatever runs the tests."""
    python = Path("/usr/bin/python3").resolve()
    library = Path(f"/usr/lib/{python.name}")
    programs = [Path("/usr/bin", name) for name in PROGRAMS]
    found: dict[str, File] = {
        name: directory(name) for name in ("dev", "proc", "sys", "etc", "usr", "var", "tmp")
    }
    for path in [*programs, python, *sorted(library.rglob("*"))]:
        if path.is_file() and not path.is_symlink() and not LEFT_OUT & set(path.parts):
            _add(found, path)
    for path in [*programs, python, *library.rglob("*.so")]:
        for needed in _libraries(path):
            _add(found, needed)
    for link, target in (
        ("bin", "usr/bin"),
        ("lib", "usr/lib"),
        ("lib64", "usr/lib64"),
        ("sbin", "usr/sbin"),
    ):
        found[link] = File(link, link=target)
    found["usr/bin/sh"] = File("usr/bin/sh", link="dash")
    found["usr/bin/python3"] = File("usr/bin/python3", link=python.name)
    found["etc/passwd"] = File("etc/passwd", b"root:x:0:0:root:/root:/bin/sh\n")
    found["etc/group"] = File("etc/group", b"root:x:0:\n")
    found["etc/os-release"] = File("etc/os-release", Path("/etc/os-release").read_bytes())
    return tuple(found.values())


def dpkg(python_version: str = "") -> File:
    """Return the dpkg status that says which python3 the root has (this machine's unless told)."""
    name = Path("/usr/bin/python3").resolve().name
    version = python_version or f"{name.removeprefix('python')}.0"
    text = f"Package: {name}\nStatus: install ok installed\nVersion: {version}-1\n"
    return File("var/lib/dpkg/status", text.encode())


def _add(found: dict[str, File], path: Path) -> None:
    real = path.resolve()
    name = str(path).lstrip("/")
    name = name if name.startswith("usr/") else f"usr/{name}"
    if name not in found:
        found[name] = File(name, real.read_bytes(), 0o755 if real.stat().st_mode & 0o111 else 0o644)


def _libraries(path: Path) -> list[Path]:
    said = subprocess.run(["ldd", str(path)], capture_output=True, text=True, check=False).stdout
    return [Path(name) for name in re.findall(r"(/\S+) \(0x", said)]
