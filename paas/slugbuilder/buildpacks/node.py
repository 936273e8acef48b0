"""Node apps: packages from the lock file, the build script, dev dependencies gone again.

In: package.json, best with a lock file.  Out: packages, build products, the default web process.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..errors import BuildError
from ..workspace import Buildpack, Compiled, Workspace
from .node_choice import ChosenNode, choose_node
from .node_managers import choose_manager
from .node_packages import (
    build_script,
    fill,
    keeps_dev,
    node_environment,
    prune,
    run_script,
    settle_modules,
    with_manager,
)
from .node_shims import write_shims
from .static import serve_site

WORKER_MB = 512
SITES = ("dist", "build", "out", "public", "_site", ".output/public", "www")


def detect(app: Path) -> bool:
    return (app / "package.json").is_file()


def compile_app(work: Workspace) -> Compiled:
    work.output.step("Node.js app detected")
    node = build_node(work, read_package(work.app / "package.json"))
    package = read_package(work.app / "package.json")
    web = start_command(work.app, package)
    reason = "" if web else "package.json has no start script and there is no server.js."
    built = "" if web else built_site(work.app)
    if built:
        work.output.step(f"Nothing to start: the site in {built}/ is served as files")
        web = serve_site(work, built).processes["web"]
    return Compiled(
        version=node.version,
        processes={"web": web} if web else {},
        env=runtime_env(work.app, node),
        web_memory_mb=WORKER_MB,
        no_web=reason,
        node=node.version,
        dependencies=("node_modules", ".yarn/cache", ".yarn/unplugged", ".paas/node"),
    )


def build_node(work: Workspace, package: dict[str, Any]) -> ChosenNode:
    """Install, build, prune; which Node.js it was done with."""
    manager, warning = choose_manager(work.app, package)
    if warning:
        work.output.warn(warning)
    env = node_environment(work, manager)
    node = choose_node(work, package, env)
    env = with_manager(work, manager, node, env)
    scripts = package.get("scripts", {})
    script = build_script(package)
    if scripts.get("heroku-prebuild"):
        run_script(work, manager, "heroku-prebuild", env)
    with work.timed("install"):
        with_dev = bool(script or scripts.get("heroku-cleanup")) or keeps_dev(work)
        fill(work, package, manager, node, env, with_dev=with_dev)
    if script:
        with work.timed("build_script"):
            run_script(work, manager, script, env)
    if with_dev and not keeps_dev(work):
        with work.timed("prune"):
            prune(work, manager, env)
    if scripts.get("heroku-cleanup"):
        run_script(work, manager, "heroku-cleanup", env)
    settle_modules(work.app / "node_modules")
    write_shims(work.app)
    return node


def read_package(path: Path) -> dict[str, Any]:
    hint = "Correct package.json, commit and push again."
    try:
        data = json.loads(path.read_bytes().decode("utf-8-sig"))
    except (ValueError, UnicodeDecodeError) as error:
        raise BuildError(
            "package_json_invalid", "package.json is no JSON.", details=(str(error),), hint=hint
        ) from error
    if not isinstance(data, dict):
        raise BuildError("package_json_invalid", "package.json is no JSON object.", hint=hint)
    for field in ("scripts", "engines", "dependencies", "devDependencies"):
        if not isinstance(data.get(field, {}), dict):
            raise BuildError(
                "package_json_invalid", f"{field!r} in package.json is no JSON object.", hint=hint
            )
    return data


def built_site(app: Path) -> str:
    """The folder with the index.html that the build script has made, '' for none."""
    return next((name for name in SITES if (app / name / "index.html").is_file()), "")


def start_command(app: Path, package: dict[str, Any]) -> str:
    """`npm start` when it can work: a start script, or npm's own default of server.js."""
    if package.get("scripts", {}).get("start") or (app / "server.js").is_file():
        return "npm start"
    return ""


def runtime_env(app: Path, node: ChosenNode) -> dict[str, str]:
    own = f"{node.home}/bin:" if node.home else ""
    pnp = app / ".pnp.cjs"
    options = {"NODE_OPTIONS": f"--require {pnp}"} if pnp.is_file() else {}
    return {
        "PATH": f"{app}/.paas/bin:{app}/node_modules/.bin:{own}/usr/local/bin:/usr/bin:/bin",
        "NODE_ENV": "production",
        "NODE_HOME": str(node.home or "/usr"),
        "LANG": "C.UTF-8",
        **options,
    }


NODE = Buildpack("node", "Node.js", "package.json", detect, compile_app)
