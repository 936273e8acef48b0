"""Builds the wheel that the private index has; a binary is no business of this project's repository."""

import zipfile
from pathlib import Path

NAME, VERSION = "house_rules", "1.0"
INFO = f"{NAME}-{VERSION}.dist-info"
FILES = {
    f"{NAME}.py": 'RULE = "no shoes inside"\n',
    f"{INFO}/METADATA": f"Metadata-Version: 2.1\nName: house-rules\nVersion: {VERSION}\n",
    f"{INFO}/WHEEL": "Wheel-Version: 1.0\nGenerator: hand\nRoot-Is-Purelib: true\nTag: py3-none-any\n",
    f"{INFO}/RECORD": f"{NAME}.py,,\n{INFO}/METADATA,,\n{INFO}/WHEEL,,\n{INFO}/RECORD,,\n",
}
folder = Path("simple/house-rules")
folder.mkdir(parents=True)
wheel = folder / f"{NAME}-{VERSION}-py3-none-any.whl"
with zipfile.ZipFile(wheel, "w") as archive:
    for name, text in FILES.items():
        archive.writestr(name, text)
(folder / "index.html").write_text(f'<!doctype html><a href="{wheel.name}">{wheel.name}</a>')
