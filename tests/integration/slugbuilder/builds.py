"""Runs real builds outside a container: folders of a test in, output and result out."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path

CA_BUNDLE = "/etc/ssl/certs/ca-certificates.crt"
ROOT = Path(__file__).resolve().parents[3]
EXAMPLES = ROOT / "examples"


@dataclass(frozen=True)
class Built:
    code: int
    output: str
    result: dict
    seconds: float


def tar_of(source: Path, tar: Path, when: int = 1_700_000_000) -> Path:
    def settle(info: tarfile.TarInfo) -> tarfile.TarInfo:
        info.mtime, info.uid, info.gid, info.uname, info.gname = when, 0, 0, "", ""
        return info

    with tarfile.open(tar, "w", format=tarfile.PAX_FORMAT) as archive:
        for path in sorted(source.rglob("*")):
            archive.add(path, path.relative_to(source).as_posix(), recursive=False, filter=settle)
    return tar


def build(
    source: Path,
    work: Path,
    *,
    cache: str = "cache",
    env: dict[str, str] | None = None,
    extra: tuple[str, ...] = (),
) -> Built:
    """Build `source` into WORK/app, which is emptied first."""
    app, result = work / "app", work / "result.json"
    shutil.rmtree(app, ignore_errors=True)
    result.unlink(missing_ok=True)
    for folder in (app, work / cache):
        folder.mkdir(exist_ok=True)
    argv = [sys.executable, "-m", "paas.slugbuilder", "build", "--stack", "host"]
    argv += ["--source", str(tar_of(source, work / "source.tar")), "--app", str(app)]
    argv += ["--cache", str(work / cache), "--result", str(result), *extra]
    # this test run's own settings are none of the app's
    outer = {name: value for name, value in os.environ.items() if not name.startswith(("DJANGO_", "PYTEST_"))}
    outer["SSL_CERT_FILE"] = CA_BUNDLE  # as in a container of the platform
    started = time.monotonic()
    done = subprocess.run(
        argv,
        cwd=ROOT,
        env={**outer, **(env or {})},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert not done.stderr, done.stderr
    return Built(done.returncode, done.stdout, json.loads(result.read_text()), time.monotonic() - started)


def tree_hash(root: Path) -> dict[str, str]:
    """Path → mode, time and content of every entry."""
    found = {}
    for path in sorted(root.rglob("*")):
        status = path.lstat()
        if path.is_symlink():
            content = os.readlink(path)
        else:
            content = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "folder"
        found[path.relative_to(root).as_posix()] = f"{status.st_mode:o} {int(status.st_mtime)} {content}"
    return found
