"""Fills `node_modules` and runs the app's build script.

In: package.json, package-lock.json.  Out: `node_modules`; the same as last time, from the cache, when nothing that it
was made from has changed.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..command import run
from ..errors import BuildError
from ..tree_cache import key_of, restore, save
from ..workspace import Workspace

FORMAT = "node-1"
LOCKS = ("package-lock.json", "npm-shrinkwrap.json")
FOREIGN_LOCKS = ("yarn.lock", "pnpm-lock.yaml", "bun.lockb", "bun.lock")
HOOKS = ("preinstall", "install", "postinstall", "prepare", "preprepare", "postprepare")


def build_script(package: Mapping[str, Any]) -> str:
    """`heroku-postbuild` wins over `build`, as at Heroku."""
    scripts = package.get("scripts", {})
    return next((name for name in ("heroku-postbuild", "build") if scripts.get(name)), "")


def npm_environment(work: Workspace) -> dict[str, str]:
    return {
        "NPM_CONFIG_CACHE": str(work.cache_dir("npm")),
        "NPM_CONFIG_AUDIT": "false",
        "NPM_CONFIG_FUND": "false",
        "NPM_CONFIG_UPDATE_NOTIFIER": "false",
        "NPM_CONFIG_LOGLEVEL": "error",
        "NPM_CONFIG_PROGRESS": "false",
        "NPM_CONFIG_PREFER_OFFLINE": "true",
        # native addons compile against the stack's headers instead of downloading some
        "NPM_CONFIG_NODEDIR": "/usr",
        **work.env,
        "NODE_ENV": work.env.get("NODE_ENV", "production"),
        "PATH": f"{work.app}/node_modules/.bin:{work.env.get('PATH', '/usr/bin:/bin')}",
        "CI": "true",
        "NO_COLOR": "1",
    }


def install_modules(
    work: Workspace, package: Mapping[str, Any], version: str, env: Mapping[str, str], *, with_dev: bool
) -> None:
    """Run npm, or restore what it made last time."""
    lock = next((work.app / name for name in LOCKS if (work.app / name).is_file()), None)
    modules = work.app / "node_modules"
    if os.path.lexists(modules):
        work.output.warn("node_modules is part of the commit: it is replaced. Add it to .gitignore.")
        shutil.rmtree(modules) if modules.is_dir() and not modules.is_symlink() else modules.unlink()
    warn_about_lock(work, lock)
    key = modules_key(work, package, lock, version, with_dev=with_dev)
    if key and restore(work.cache, "node_modules", key, modules):
        work.output.step(
            f"{lock.name if lock else 'package.json'} unchanged: node_modules restored from the cache"
        )
        return
    argv = ["npm", "ci" if lock else "install", "--include=dev" if with_dev else "--omit=dev"]
    if not lock:
        argv.append("--no-package-lock")
    work.output.step(f"Installing dependencies: {' '.join(argv)}")
    done = run(argv, cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        raise explain_npm(done.text)
    if key and modules.is_dir():
        save(work.cache, "node_modules", key, modules)


def warn_about_lock(work: Workspace, lock: Path | None) -> None:
    if lock is not None:
        return
    foreign = next((name for name in FOREIGN_LOCKS if (work.app / name).is_file()), "")
    reason = f"{foreign} is not read" if foreign else "package-lock.json is missing"
    work.output.warn(
        f"{reason}: versions may differ from build to build. Run `npm install` and commit package-lock.json."
    )


def modules_key(
    work: Workspace, package: Mapping[str, Any], lock: Path | None, version: str, *, with_dev: bool
) -> str:
    """A key of all that npm reads; '' when more than that decides (no lock, install hooks, local packages)."""
    hooks = [name for name in HOOKS if package.get("scripts", {}).get(name)]
    if lock is None or hooks or package.get("workspaces"):
        return ""
    content = lock.read_bytes()
    if b'"file:' in content or b'"link": true' in content:
        return ""
    npmrc = work.app / ".npmrc"
    declared = [repr(sorted(package.get(field, {}).items())) for field in ("dependencies", "devDependencies")]
    settings = sorted(f"{k}={v}" for k, v in work.env.items() if k.upper().startswith("NPM_CONFIG_"))
    extra = npmrc.read_bytes() if npmrc.is_file() else b""
    # bin links hold relative paths only, so the place of the app is not part of the key
    return key_of([FORMAT, work.stack.name, version, str(with_dev), content, extra, *declared, *settings])


def run_script(work: Workspace, script: str, env: Mapping[str, str]) -> None:
    work.output.step(f"Running build script: npm run {script}")
    done = run(["npm", "run", script], cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        hint = f"Run `npm run {script}` on a clean clone, correct it and push again."
        message = f"The build script {script!r} of package.json failed (exit code {done.code})."
        raise BuildError("build_script_failed", message, hint=hint)


def prune_modules(work: Workspace, env: Mapping[str, str]) -> None:
    if not (work.app / "node_modules").is_dir():
        return
    done = run(["npm", "prune", "--omit=dev", "--no-package-lock"], cwd=work.app, env=env, output=None)
    if done.code != 0:
        work.output.warn("Dev dependencies could not be removed; the slug is larger than it has to be.")


def explain_npm(text: str) -> BuildError:
    """npm's failures that have a plain cause; else its last lines."""
    missing = re.search(r"404\s+Not Found - GET \S+/(\S+?)(?: - |\s|$)", text) or re.search(
        r"'([^']+)' is not in (?:this|the npm) registry", text
    )
    if "ETARGET" in text:
        wanted = re.search(r"No matching version found for (\S+?)\.?(?:\s|$)", text)
        message = f"There is no version {wanted[1] if wanted else 'as asked for'} in the npm registry."
        return BuildError(
            "requirements_unresolvable",
            message,
            hint="Correct package.json, run `npm install`, commit and push.",
        )
    if "E404" in text:
        name = missing[1].replace("%2f", "/") if missing else "A package"
        message = f"{name} is not in the npm registry."
        return BuildError(
            "requirements_unresolvable", message, hint="Correct its name, or set up the registry in .npmrc."
        )
    if "can only install packages when your package.json and package-lock" in text or "EUSAGE" in text:
        message = "package-lock.json does not match package.json."
        return BuildError(
            "lock_outdated", message, hint="Run `npm install`, commit package-lock.json and push again."
        )
    if "ERESOLVE" in text:
        details = npm_lines(text)
        return BuildError(
            "requirements_unresolvable",
            "npm cannot resolve the dependencies.",
            details=details,
            hint="Align the versions.",
        )
    if any(code in text for code in ("ENOTFOUND", "ECONNREFUSED", "ETIMEDOUT", "EAI_AGAIN", "ECONNRESET")):
        message = "The package registry could not be reached."
        return BuildError(
            "registry_unreachable", message, details=npm_lines(text), hint="Push again in a minute."
        )
    return BuildError("install_failed", "npm could not install the dependencies.", details=npm_lines(text))


def npm_lines(text: str) -> tuple[str, ...]:
    lines = [re.sub(r"^npm (ERR!|error) ?", "", line) for line in text.splitlines()]
    kept = [
        line[:200]
        for line in lines
        if line.strip() and "A complete log of this run" not in line and "-debug-" not in line
    ]
    return tuple(kept[:10])
