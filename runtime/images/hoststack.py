"""The `host` stack: a bottom layer made of this machine, without any download.

In: the host's /etc.  Out: a directory with the usual folders, the usr-merge links and an /etc of its own; /usr is
bound over it per container. Nothing of /root, /home, /var or the host's own configuration is shown.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import threading
import time
from pathlib import Path

_DIRECTORIES = (
    "usr",
    "proc",
    "sys",
    "dev",
    "tmp",
    "run",
    "var/tmp",
    "var/lib",
    "etc",
    "app",
    "home",
    "root",
    "opt",
)
_COPIED = (
    *("alternatives", "ca-certificates", "ca-certificates.conf", "ld.so.cache", "ld.so.conf", "ld.so.conf.d"),
    *("localtime", "mime.types", "os-release", "debian_version", "protocols", "services", "ssl", "timezone"),
)
_FILES = {
    "passwd": "root:x:0:0:root:/root:/usr/sbin/nologin\napp:x:1000:1000:app:/app:/bin/bash\n"
    "nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n",
    "group": "root:x:0:\ntty:x:5:\napp:x:1000:\nnogroup:x:65534:\n",
    "nsswitch.conf": "passwd: files\ngroup: files\nhosts: files dns\nservices: files\nprotocols: files\n",
}
# What interpreters of the host read of /etc; none has a place for passwords.
_LANGUAGES = ("php", "java-*-openjdk", "maven/m2.conf", "maven/logging")
_LAYOUT = "2"  # raise it when this module makes a different tree from the same host
_LOOKED_AT_MOST = 1.0  # seconds; a look takes as long as mounting a root
_lock = threading.Lock()
_looked: dict[Path, tuple[float, Path]] = {}


def fingerprint(etc: Path = Path("/etc")) -> str:
    """Return a name that changes when the copied files change."""
    state = [_LAYOUT]
    for name in (*_COPIED, *_of_languages(etc)):
        source = etc / name
        state.append(f"{name} {source.lstat().st_mtime_ns}" if os.path.lexists(source) else name)
    return hashlib.sha256("\n".join(state).encode()).hexdigest()[:16]


def make(parent: Path) -> Path:
    """Return the directory of the stack under `parent`, made on first use (a third of a second). A change of the host's
    own files shows a second later."""
    with _lock:
        until, target = _looked.get(parent, (0.0, parent))
        if time.monotonic() < until and target.is_dir():
            return target
        target = parent / fingerprint()
        if not target.is_dir():
            draft = parent / ".draft"
            shutil.rmtree(draft, ignore_errors=True)
            _fill(draft)
            draft.replace(target)
        _looked[parent] = time.monotonic() + _LOOKED_AT_MOST, target
    return target


def remove_others(parent: Path) -> None:
    """Remove stacks of an older host state. Only while no container runs: they may be somebody's lower layer."""
    current = fingerprint()
    if parent.is_dir():
        for entry in parent.iterdir():
            if entry.name != current:
                shutil.rmtree(entry, ignore_errors=True)


def _fill(root: Path) -> None:
    for name in _DIRECTORIES:
        (root / name).mkdir(parents=True)
    for link in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        if Path("/", link).is_symlink():
            (root / link).symlink_to(Path("/", link).readlink())
    for name, text in _FILES.items():
        (root / "etc" / name).write_text(text)
    for name in (*_COPIED, *_of_languages(Path("/etc"))):
        _copy(Path("/etc", name), root / "etc" / name)
    for directory in ("tmp", "var/tmp"):
        (root / directory).chmod(0o1777)
    for path in (root, *root.rglob("*")):
        if path.is_dir() and not path.is_symlink() and path.stat().st_mode & 0o1777 != 0o1777:
            path.chmod(0o755)


def _of_languages(etc: Path) -> list[str]:
    return sorted(path.relative_to(etc).as_posix() for pattern in _LANGUAGES for path in etc.glob(pattern))


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.is_dir() and not source.is_symlink():
        shutil.copytree(source, target, symlinks=True, ignore=shutil.ignore_patterns("private"))
    elif os.path.lexists(source):
        shutil.copy2(source, target, follow_symlinks=False)
