"""Node apps: npm installs from the lock file, the build script runs, dev dependencies go.

In: package.json, best with package-lock.json.  Out: `node_modules`, build products, the default web process.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..command import capture
from ..errors import BuildError
from ..node_version import is_exact, parse_version, satisfies
from ..workspace import Buildpack, Compiled, Workspace
from .node_packages import build_script, install_modules, npm_environment, prune_modules, run_script
from .node_shims import write_shims

WORKER_MB = 512


def detect(app: Path) -> bool:
    return (app / "package.json").is_file()


def compile_app(work: Workspace) -> Compiled:
    work.output.step("Node.js app detected")
    package = read_package(work.app / "package.json")
    version = node_version(work)
    check_engines(work, package, version)
    work.output.info(f"Using Node.js {version} (stack {work.stack.name})")
    script = build_script(package)
    env = npm_environment(work)
    with work.timed("install"):
        install_modules(work, package, version, env, with_dev=bool(script))
    if script:
        with work.timed("build_script"):
            run_script(work, script, env)
            prune_modules(work, env)
    write_shims(work.app)
    web = start_command(work.app, package)
    reason = "" if web else "package.json has no start script and there is no server.js."
    return Compiled(
        version=version,
        processes={"web": web} if web else {},
        env=runtime_env(work.app),
        web_memory_mb=WORKER_MB,
        no_web=reason,
        node=version,
    )


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


def node_version(work: Workspace) -> str:
    """`20.19.2`, asked from the stack."""
    version = capture([str(work.stack.node), "--version"], work.env).removeprefix("v")
    if not version:
        message = f"Stack {work.stack.name} has no Node.js ({work.stack.node} does not run)."
        raise BuildError("node_missing", message, hint="Choose a stack with Node.js, such as debian-13.")
    return version


def check_engines(work: Workspace, package: dict[str, Any], version: str) -> None:
    """Refuse a Node that engines.node excludes; of an exact version only the major part is demanded."""
    wanted = package.get("engines", {}).get("node")
    if wanted is None:
        return
    hint = f'Write "node": "{version.partition(".")[0]}.x" into engines, or choose a stack with the Node.js you need.'
    try:
        fits = satisfies(parse_version(version), str(wanted))
    except ValueError as error:
        message = f"engines.node in package.json is {str(wanted)!r}, which is no version range."
        raise BuildError("node_version_invalid", message, hint=hint) from error
    if fits:
        return
    if is_exact(str(wanted)) and parse_version(str(wanted).strip(" v="))[0] == parse_version(version)[0]:
        work.output.info(f"engines.node asks for {wanted}: minor and patch level are the stack's, {version}")
        return
    message = f"package.json asks for Node.js {wanted}, stack {work.stack.name} has {version}."
    raise BuildError("node_version_unsupported", message, hint=hint)


def start_command(app: Path, package: dict[str, Any]) -> str:
    """`npm start` when it can work: a start script, or npm's own default of server.js."""
    if package.get("scripts", {}).get("start") or (app / "server.js").is_file():
        return "npm start"
    return ""


def runtime_env(app: Path) -> dict[str, str]:
    return {
        "PATH": f"{app}/.paas/bin:{app}/node_modules/.bin:/usr/local/bin:/usr/bin:/bin",
        "NODE_ENV": "production",
        "NODE_HOME": "/usr",
        "LANG": "C.UTF-8",
    }


NODE = Buildpack("node", "Node.js", "package.json", detect, compile_app)
