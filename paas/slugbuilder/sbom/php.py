"""PHP packages, from Composer's record of what it installed.

In: a tree.  Out: components of `vendor/composer/installed.json`.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from .component import Component, component
from .reading import read_object


def php_packages(app: Path) -> Iterator[Component]:
    """Yield what Composer 2 installed."""
    packages = read_object(app / "vendor/composer/installed.json").get("packages")
    for package in packages if isinstance(packages, list) else ():
        if not isinstance(package, dict) or not isinstance(package.get("name"), str):
            continue
        vendor, _, name = package["name"].rpartition("/")
        licenses = package.get("license")
        license = licenses[0] if isinstance(licenses, list) and licenses else licenses
        found = component("composer", name, package.get("version"), license, vendor)
        if found:
            yield found
