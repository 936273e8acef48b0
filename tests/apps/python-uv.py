"""Locks pyproject.toml, as `uv lock` does on the developer's machine."""

import subprocess
import sys
from pathlib import Path

uv = Path(sys.executable).parent / "uv"
subprocess.run([uv, "lock", "--quiet", "--system-certs", "--python", "/usr/bin/python3"], check=True)
