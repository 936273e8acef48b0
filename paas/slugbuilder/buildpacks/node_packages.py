"""Fills `node_modules` and runs the app's own scripts.

In: a manager, a Node.js, package.json and its lock file.  Out: the packages; the same as last time, from the cache,
when nothing that they were made from has changed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..command import capture, run
from ..errors import BuildError
from ..kept_trees import bring_back, keep
from ..tree_cache import key_of
from ..workspace import Workspace
from .node_choice import ChosenNode
from .node_errors import explain_node
from .node_managers import Manager, committed_yarn
from .node_tools import fetch, npm_for, program_of

FORMAT = "node-2"
YARN_HOST = "https://registry.yarnpkg.com/"
HOOKS = ("preinstall", "install", "postinstall", "prepare", "preprepare", "postprepare")
LOCAL = re.compile(rb'["\s@](?:file|link|portal):|"link": true')  # packages of the tree itself
SETTINGS = (".npmrc", ".yarnrc", ".yarnrc.yml", ".pnpmfile.cjs", "pnpm-workspace.yaml")


def build_script(package: Mapping[str, Any]) -> str:
    """`heroku-postbuild` wins over `build`, as at Heroku."""
    scripts = package.get("scripts", {})
    return next((name for name in ("heroku-postbuild", "build") if scripts.get(name)), "")


def keeps_dev(work: Workspace) -> bool:
    """Whether dev dependencies stay in the slug: asked for by the variables that Heroku knows."""
    env = work.env
    off = any(env.get(name, "").lower() == "false" for name in ("NPM_CONFIG_PRODUCTION", "YARN_PRODUCTION"))
    return off or env.get("NODE_ENV", "production") != "production"


def node_environment(work: Workspace, manager: Manager) -> dict[str, str]:
    """What every manager sees. Config vars win over defaults."""
    given = {name: value for name, value in work.env.items() if name != "NPM_CONFIG_PRODUCTION"}
    return {
        "NPM_CONFIG_CACHE": str(work.cache_dir("npm")),
        "NPM_CONFIG_AUDIT": "false",
        "NPM_CONFIG_FUND": "false",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        "NPM_CONFIG_LOGLEVEL": "error",
        "NPM_CONFIG_PROGRESS": "false",
        "NPM_CONFIG_PREFER_OFFLINE": "true",
        "NPM_CONFIG_STORE_DIR": str(work.cache_dir("pnpm")),
        # native addons compile against the headers at hand instead of downloading some
        "NPM_CONFIG_NODEDIR": "/usr",
        **given,
        "NODE_ENV": work.env.get("NODE_ENV", "production"),
        "PATH": f"{work.app}/node_modules/.bin:{work.env.get('PATH', '/usr/bin:/bin')}",
        "CI": "true",
        "NO_COLOR": "1",
    }


def with_manager(
    work: Workspace, manager: Manager, node: ChosenNode, env: Mapping[str, str]
) -> dict[str, str]:
    """Put the chosen Node.js and the manager's program on the path."""
    front = [f"{node.home}/bin"] if node.home else []
    tool = manager.tool or (npm_for(node.version) if manager.kind == "npm" and node.home else "")
    ready = (
        {**env, "NPM_CONFIG_NODEDIR": str(node.home)}
        if node.home and "NPM_CONFIG_NODEDIR" not in work.env
        else dict(env)
    )
    if tool:
        front.insert(0, str(program_of(fetch(work, tool, env), manager.program).parent))
        work.output.info(f"Using {tool} from the npm registry")
    own = committed_yarn(work.app) if manager.kind == "berry" else None
    if own is not None:
        front.insert(0, str(own_yarn(work, own)))
    if manager.program == "yarn":
        ready |= yarn_settings(work, manager, env)
    return {**ready, "PATH": os.pathsep.join([*front, env["PATH"]])}


def own_yarn(work: Workspace, script: Path) -> Path:
    """A folder with a `yarn` that is the app's own (`yarnPath`)."""
    program = work.scratch / "yarn" / "yarn"
    program.parent.mkdir(exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec node "{script}" "$@"\n')
    program.chmod(0o755)
    return program.parent


def yarn_settings(work: Workspace, manager: Manager, env: Mapping[str, str]) -> dict[str, str]:
    """Yarn has a registry of its own; npm's holds the same, and a proxy that was set for npm is meant for all."""
    registry = capture(["npm", "config", "get", "registry"], env).rstrip("/") or YARN_HOST.rstrip("/")
    folder = str(work.cache_dir("yarn"))
    if manager.kind == "yarn":
        use_registry(work.app / "yarn.lock", registry)
        return {"YARN_REGISTRY": registry, "YARN_CACHE_FOLDER": folder, "npm_config_registry": registry}
    archives = str(work.app / ".yarn" / "cache") if manager.pnp else folder
    return {
        "YARN_NPM_REGISTRY_SERVER": work.env.get("YARN_NPM_REGISTRY_SERVER", registry),
        "YARN_CACHE_FOLDER": archives,
        "YARN_GLOBAL_FOLDER": folder,
        "YARN_ENABLE_GLOBAL_CACHE": "false",
        "YARN_ENABLE_TELEMETRY": "0",
        "YARN_ENABLE_PROGRESS_BARS": "false",
        "YARN_ENABLE_INLINE_BUILDS": "true",
    }


def use_registry(lock: Path, registry: str) -> None:
    """Yarn 1 notes whole addresses in its lock; the hashes beside them stay what decides."""
    text = lock.read_bytes() if lock.is_file() else b""
    if YARN_HOST.encode() in text:
        lock.write_bytes(text.replace(YARN_HOST.encode(), f"{registry}/".encode()))


def fill(
    work: Workspace, package: Mapping[str, Any], manager: Manager, node: ChosenNode, env: Mapping[str, str], *,
    with_dev: bool,
) -> None:  # fmt: skip
    """Run the manager, or restore what it made last time."""
    modules = work.app / "node_modules"
    discard_committed(work, modules)
    key = modules_key(work, package, manager, node.version, with_dev=with_dev)
    if key and bring_back(work, "node_modules", key, modules):
        work.output.step(f"{manager.lock} unchanged: node_modules restored from the cache")
        return
    argv = manager.install(with_dev=with_dev)
    work.output.step(f"Installing dependencies: {' '.join(argv)}")
    done = run(argv, cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        raise explain_node(done.text, manager.program, manager.lock)
    if key and modules.is_dir():
        keep(work, "node_modules", key, modules)


def discard_committed(work: Workspace, modules: Path) -> None:
    if os.path.lexists(modules):
        work.output.warn("node_modules is part of the commit: it is replaced. Add it to .gitignore.")
        shutil.rmtree(modules) if modules.is_dir() and not modules.is_symlink() else modules.unlink()


def settle_modules(modules: Path) -> None:
    """Remove what managers note about this one run: times would be in every slug."""
    for name in (
        ".modules.yaml",
        ".yarn-integrity",
        ".pnpm-workspace-state.json",
        ".pnpm-workspace-state-v1.json",
    ):
        (modules / name).unlink(missing_ok=True)


def modules_key(
    work: Workspace, package: Mapping[str, Any], manager: Manager, version: str, *, with_dev: bool
) -> str:
    """A key of all that the manager reads; '' when more than that decides (no lock, install hooks, local packages)."""
    hooks = [name for name in HOOKS if package.get("scripts", {}).get(name)]
    several = package.get("workspaces") or (work.app / "pnpm-workspace.yaml").is_file()
    if not manager.lock or manager.pnp or hooks or several:
        return ""
    content = (work.app / manager.lock).read_bytes()
    if LOCAL.search(content):
        return ""
    files = [(work.app / name).read_bytes() if (work.app / name).is_file() else b"" for name in SETTINGS]
    declared = [
        repr(sorted(package.get(field, {}).items()))
        for field in ("dependencies", "devDependencies", "optionalDependencies", "resolutions", "overrides")
    ]
    settings = sorted(
        f"{k}={v}"
        for k, v in work.env.items()
        if k.upper().startswith(("NPM_CONFIG_", "YARN_")) or k == "NODE_ENV"
    )
    # bin links hold relative paths only, so the place of the app is not part of the key
    parts: list[bytes | str] = [
        FORMAT,
        work.stack.name,
        version,
        manager.kind,
        manager.tool,
        str(with_dev),
        content,
    ]
    return key_of([*parts, *files, *declared, *settings])


def run_script(work: Workspace, manager: Manager, script: str, env: Mapping[str, str]) -> None:
    argv = manager.run(script)
    kind = "build script" if script in ("build", "heroku-postbuild") else "script"
    work.output.step(f"Running {kind}: {' '.join(argv)}")
    done = run(argv, cwd=work.app, env=env, output=work.output)
    if done.code == 0:
        return
    message = f"The {kind} {script!r} of package.json failed (exit code {done.code})."
    hint = f"Run `{' '.join(argv)}` on a clean clone, correct it and push again."
    if "heap out of memory" in done.text:
        hint = "Node.js ran out of memory: set NODE_OPTIONS=--max-old-space-size=1536 as a config var."
    elif "not found" in done.text:
        hint += " A program that is not found must be among dependencies or devDependencies."
    raise BuildError("build_script_failed", message, hint=hint)


def prune(work: Workspace, manager: Manager, env: Mapping[str, str]) -> None:
    if not (work.app / "node_modules").is_dir() and not manager.pnp:
        return
    work.output.step("Removing dev dependencies")
    done = run(manager.prune(), cwd=work.app, env=env, output=None)
    if done.code != 0:
        work.output.warn("Dev dependencies could not be removed; the slug is larger than it has to be.")
