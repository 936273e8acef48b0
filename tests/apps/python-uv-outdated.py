"""Locks pyproject.toml, and then adds a dependency without locking again."""

import subprocess
import sys
from pathlib import Path

uv = Path(sys.executable).parent / "uv"
subprocess.run([uv, "lock", "--quiet", "--system-certs", "--python", "/usr/bin/python3"], check=True)
file = Path("pyproject.toml")
file.write_text(file.read_text().replace('"gunicorn"]', '"gunicorn", "humanize"]'))
