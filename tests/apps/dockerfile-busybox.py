"""Brings a system of one program; a binary is no business of this project's repository."""

import shutil
from pathlib import Path

for folder in (".", *(str(file.parent) for file in Path().glob("*/Dockerfile"))):
    shutil.copy("/bin/busybox", folder)
