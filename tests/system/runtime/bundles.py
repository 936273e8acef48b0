"""A standard OCI bundle for tests: programs of this machine with their libraries, and the config.json of `runc spec`.

In: a folder.  Out: the bundle's directory, owned by root.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

PROGRAMS = ("sh", "cat", "id", "sleep", "touch", "ls", "env", "grep", "true", "mkdir")


def make_bundle(folder: Path) -> Path:
    """Make bundle and root file system. `change` then says what its config.json is to have."""
    root = folder / "rootfs"
    for name in ("bin", "proc", "sys", "dev", "etc", "tmp"):
        (root / name).mkdir(parents=True)
    for program in PROGRAMS:
        found = Path(shutil.which(program, path="/usr/bin:/bin") or "").resolve()
        shutil.copy(found, root / "bin" / program)
        for library in _libraries(found):
            target = root / library.relative_to("/")
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.exists():
                shutil.copy(library.resolve(), target)
    (root / "etc" / "motto").write_text("from the bundle\n")
    subprocess.run(["runc", "spec", "--bundle", str(folder)], check=True)
    return folder


def _libraries(program: Path) -> list[Path]:
    told = subprocess.run(["ldd", str(program)], capture_output=True, text=True, check=True).stdout
    return [Path(path) for path in re.findall(r"(/\S+) \(0x", told)]


def change(bundle: Path, *args: str, **parts: Any) -> None:
    """Rewrite config.json: the command, and `part={...}` merged into that part (None removes it)."""
    file = bundle / "config.json"
    subprocess.run(["runc", "spec", "--bundle", str(bundle)], check=True) if not file.exists() else None
    document = json.loads(file.read_text())
    document["process"]["terminal"] = False
    if args:
        document["process"]["args"] = list(args)
    for name, value in parts.items():
        known = document.get(name)
        document[name] = known | value if isinstance(known, dict) and isinstance(value, dict) else value
    file.write_text(json.dumps(document))


def fresh(bundle: Path, *args: str, **parts: Any) -> Path:
    """Give the bundle the standard config.json again, changed."""
    (bundle / "config.json").unlink(missing_ok=True)
    change(bundle, *args, **parts)
    return bundle
