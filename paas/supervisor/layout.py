"""Where everything of one installation lies on disk.

In: the data folder.  Out: paths, and the small JSON documents that the parts of the supervisor share.
"""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SOURCE = Path(__file__).resolve().parent.parent.parent  # the checkout

# Unix sockets below the data folder (Redis, HAProxy, containers) end 107 bytes after the root.
LONGEST_HOME = 48


@dataclass(frozen=True)
class Layout:
    """The data folder of one installation."""

    home: Path

    @property
    def run(self) -> Path:
        return self.home / "run"

    @property
    def logs(self) -> Path:
        return self.home / "log"

    @property
    def tokens(self) -> Path:
        return self.home / "tokens"

    @property
    def machines(self) -> Path:
        """Keys and certificates of the controller and of this box' agent and router (`Configuration.credentials`)."""
        return self.home / "machines"

    @property
    def lock(self) -> Path:
        return self.run / "supervisor.lock"

    @property
    def control_socket(self) -> Path:
        return self.run / "supervisor.sock"

    @property
    def process_table(self) -> Path:
        """Process ids and start times, for the run after one that was killed."""
        return self.run / "processes.json"

    @property
    def redis_socket(self) -> Path:
        return self.run / "redis.sock"

    @property
    def credentials(self) -> Path:
        return self.home / "credentials.json"

    @property
    def machine(self) -> Path:
        """Ids of this machine's host and router rows, written by `manage.py setup_platform`."""
        return self.home / "machine.json"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def token(self, name: str) -> Path:
        return self.tokens / name

    def make_folders(self) -> None:
        """Make the folders. Containers' roots lie below the data folder: all may pass through it, none look."""
        self.home.mkdir(mode=0o711, parents=True, exist_ok=True)
        for name in ("run", "log", "tokens", "machines", "redis", "static", "images", "stacks"):
            (self.home / name).mkdir(mode=0o700, exist_ok=True)


def source_version() -> str:
    """Return the commit of the checkout, shortened; '' when it is none."""
    command = ("git", "-c", f"safe.directory={SOURCE}", "-C", str(SOURCE), "rev-parse", "--short=12", "HEAD")
    try:
        return subprocess.run(command, capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return ""


def read_document(file: Path) -> dict[str, Any]:
    """Return the JSON object in `file`, or an empty one when the file is missing or was cut short."""
    try:
        document = json.loads(file.read_text())
    except (FileNotFoundError, ValueError):
        return {}
    return document if isinstance(document, dict) else {}


def write_document(file: Path, document: dict[str, Any], mode: int = 0o600) -> None:
    """Write a JSON object atomically."""
    temporary = file.with_name(f".{file.name}.new")
    temporary.write_text(json.dumps(document, indent=2) + "\n")
    temporary.chmod(mode)
    temporary.rename(file)
