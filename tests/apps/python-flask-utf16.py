"""Writes requirements.txt as `pip freeze > requirements.txt` does in PowerShell."""

from pathlib import Path

LINES = ["flask==3.1.2", "gunicorn==23.0.0"]
Path("requirements.txt").write_bytes("".join(f"{line}\r\n" for line in LINES).encode("utf-16"))
