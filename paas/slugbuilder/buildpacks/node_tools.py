"""Node.js and package managers in the versions that an app asks for, from the npm registry's own packages.

In: a package and its version.  Out: a folder with it, its integrity checked by npm, kept in the app's cache.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import time
from collections.abc import Mapping
from pathlib import Path

from ..command import capture, run
from ..errors import BuildError
from ..node_version import parse_version, satisfies
from ..workspace import Workspace
from .node_errors import explain_node

LIST_SECONDS = 24 * 3600  # so long the list of versions is taken from the cache
MACHINES = {"x86_64": "x64", "aarch64": "arm64"}
# The npm that each Node.js came with: what runs on it and reads the lock files of its time.
NPM_OF = ((24, ""), (22, "10.9.4"), (18, "10.8.2"), (14, "8.19.4"), (0, "6.14.18"))


def fetch(work: Workspace, package: str, env: Mapping[str, str]) -> Path:
    """Install one package of the npm registry aside; its node_modules folder."""
    folder = work.cache_dir("node") / re.sub(r"[^\w.-]", "_", package)
    modules = folder / "node_modules"
    if modules.is_dir():
        return modules
    half = folder.with_name(f"{folder.name}.half")
    shutil.rmtree(half, ignore_errors=True)
    half.mkdir(parents=True)
    (half / "package.json").write_text("{}")
    argv = [
        "npm",
        "install",
        "--no-save",
        "--no-package-lock",
        "--ignore-scripts",
        "--prefix",
        str(half),
        package,
    ]
    # the app's own .npmrc and settings such as `production` are not meant for this
    done = run(argv, cwd=half, env={**env, "NODE_ENV": "production"}, output=None)
    if done.code != 0:
        raise explain_node(done.text, "npm", "")
    shutil.rmtree(folder, ignore_errors=True)
    half.rename(folder)
    return modules


def program_of(modules: Path, name: str) -> Path:
    return modules / ".bin" / name


def node_package() -> str:
    return f"node-linux-{MACHINES.get(platform.machine(), 'x64')}"


def best_node(work: Workspace, range_: str, env: Mapping[str, str]) -> str:
    """Return the newest version that fits; an exact one needs no asking. Raises BuildError for none."""
    if re.fullmatch(r"[v=\s]*\d+\.\d+\.\d+\s*", range_):
        return range_.strip(" v=")
    versions = known_versions(work, env)
    fitting = [version for version in versions if satisfies(parse_version(version), range_)]
    if not fitting:
        numbers = sorted({parse_version(version)[0] for version in versions})
        raise BuildError(
            "node_version_unsupported",
            f"There is no Node.js {range_}: the npm registry has versions {numbers[0]} to {numbers[-1]}."
            if numbers
            else f"There is no Node.js {range_}.",
            hint="Write another range into engines.node, for example the version on your machine.",
        )
    return max(fitting, key=parse_version)


def known_versions(work: Workspace, env: Mapping[str, str]) -> list[str]:
    """All versions of Node.js that the registry has, without prereleases."""
    file = work.cache_dir("node") / "versions.json"
    if file.is_file() and time.time() - file.stat().st_mtime < LIST_SECONDS:
        return list(json.loads(file.read_text()))
    told = capture(["npm", "view", node_package(), "versions", "--json"], env)
    if not told:
        raise BuildError(
            "registry_unreachable",
            "The npm registry did not say which versions of Node.js there are.",
            hint="Push again in a minute.",
        )
    versions = [one for one in json.loads(told) if re.fullmatch(r"\d+\.\d+\.\d+", one)]
    half = file.with_suffix(".half")
    half.write_text(json.dumps(versions))
    os.replace(half, file)  # noqa: PTH105  # atomic
    return versions


def place_node(work: Workspace, version: str, env: Mapping[str, str]) -> Path:
    """Put Node.js into `.paas/node`: it is part of the slug. Its headers come along for native modules."""
    source = fetch(work, f"{node_package()}@{version}", env) / node_package()
    target = work.app / ".paas" / "node"
    target.mkdir(parents=True)
    for name in ("bin", "include"):
        if (source / name).is_dir():
            shutil.copytree(source / name, target / name, symlinks=True)
    (target / "bin" / "node").chmod(0o755)
    return target


def npm_for(version: str) -> str:
    """The npm package for a version of Node.js; '' where the stack's own runs on it."""
    major = parse_version(version)[0]
    wanted = next(npm for least, npm in NPM_OF if major >= least)
    return f"npm@{wanted}" if wanted else ""
