"""PHP apps: packages by Composer, served by php-fpm behind nginx.

In: composer.json with its lock, or index.php.  Out: `vendor`, the server's files, the default web process.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..command import capture, run
from ..errors import BuildError
from ..php_server import write_server
from ..tree_cache import key_of, restore, save
from ..workspace import Buildpack, Compiled, Workspace
from .php_errors import explain_composer

WORKER_MB = 64
PLATFORM = ("php", "php-64bit", "hhvm", "composer", "composer-plugin-api", "composer-runtime-api")


def detect(app: Path) -> bool:
    return any((app / name).is_file() for name in ("composer.json", "index.php"))


def compile_app(work: Workspace) -> Compiled:
    work.output.step("PHP app detected")
    version = choose_php(work)
    package = read_composer(work.app)
    vendor = vendor_dir(package)
    env = composer_environment(work)
    if (work.app / "composer.json").is_file():
        with work.timed("install"):
            install(work, package, vendor, version, env)
    root = document_root(work.app, package, work.env)
    write_server(work.app, root, vendor, bin_dir(package, vendor))
    work.output.info(f"Document root: {root or 'the root of the app'}, served by nginx and php-fpm")
    return Compiled(
        version=version,
        processes={"web": f"heroku-php-nginx {root}".rstrip()},
        env=runtime_env(work.app, vendor),
        dependencies=(vendor,),
        web_memory_mb=WORKER_MB,
    )


def choose_php(work: Workspace) -> str:
    """Return the version of the stack's PHP. Composer checks what composer.json and the packages ask for."""
    version = capture(["php", "-r", "echo PHP_VERSION;"], work.env)
    if not version:
        hint = "Choose a stack made by the platform, such as debian-13; on the host stack install php-cli and php-fpm."
        raise BuildError("php_missing", f"Stack {work.stack.name} has no PHP.", hint=hint)
    work.output.info(f"Using PHP {version} (stack {work.stack.name})")
    return version


def read_composer(app: Path) -> dict[str, Any]:
    file = app / "composer.json"
    if not file.is_file():
        return {}
    try:
        found = json.loads(file.read_bytes().decode("utf-8-sig"))
    except ValueError as error:
        hint = "Correct it (`composer validate` says where), commit and push again."
        raise BuildError("composer_invalid", f"composer.json cannot be read: {error}.", hint=hint) from error
    if not isinstance(found, dict):
        raise BuildError(
            "composer_invalid", "composer.json holds no object.", hint="Correct it and push again."
        )
    return found


def part(package: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A part of composer.json that should be an object."""
    found = package.get(name)
    return found if isinstance(found, dict) else {}


def vendor_dir(package: Mapping[str, Any]) -> str:
    return inside(part(package, "config").get("vendor-dir"), "vendor")


def bin_dir(package: Mapping[str, Any], vendor: str) -> str:
    return inside(part(package, "config").get("bin-dir"), f"{vendor}/bin")


def inside(given: object, default: str) -> str:
    """A relative folder below the app, else the default."""
    text = str(given or default).strip("/")
    parts = text.split("/")
    return default if ".." in parts or "$" in text or text in ("", ".") else text


def composer_environment(work: Workspace) -> dict[str, str]:
    """COMPOSER_AUTH and the like are config vars; caches outlive the build."""
    return {
        "COMPOSER_MEMORY_LIMIT": "-1",
        **work.env,
        "COMPOSER_HOME": str(work.scratch / "composer"),
        "COMPOSER_CACHE_DIR": str(work.cache_dir("composer")),
        "COMPOSER_NO_INTERACTION": "1",
        "COMPOSER_ALLOW_SUPERUSER": "1",
        "COMPOSER_MIRROR_PATH_REPOS": "1",
        "COMPOSER_ROOT_VERSION": work.env.get("COMPOSER_ROOT_VERSION", "1.0.0"),
    }


def needs_lock(package: Mapping[str, Any]) -> bool:
    names = [*part(package, "require")]
    return any(name not in PLATFORM and not name.startswith(("ext-", "lib-")) for name in names)


def copies_folders(lock: bytes) -> bool:
    """Whether packages are copies of folders of the app, whose changes a lock does not show."""
    return re.search(rb'"type"\s*:\s*"path"', lock) is not None


def install(
    work: Workspace, package: dict[str, Any], vendor: str, version: str, env: Mapping[str, str]
) -> None:
    """The tree is kept, but Composer looks at it each time: scripts run, and autoloading is of this code."""
    if not (work.app / "composer.lock").is_file() and needs_lock(package):
        message = "The app has no composer.lock, without which every build would get other packages."
        raise BuildError(
            "lock_missing", message, hint="Run `composer update`, commit composer.lock and push again."
        )
    composer = capture(["composer", "--version", "--no-ansi"], dict(env))
    if not composer:
        message = f"Stack {work.stack.name} has no Composer."
        raise BuildError("tool_missing", message, hint="On the host stack install composer.")
    tree = work.app / vendor
    if tree.exists():
        work.output.warn(f"{vendor} is part of the commit: it is replaced. Add it to .gitignore.")
        shutil.rmtree(tree)
    tree.parent.mkdir(parents=True, exist_ok=True)
    file = work.app / "composer.lock"
    lock = file.read_bytes() if file.is_file() else b""
    cache = None if copies_folders(lock) else work.cache
    key = key_of([version, work.stack.name, lock, vendor])
    kept = restore(cache, "composer", key, tree)
    if kept:
        work.output.info("Packages restored from the cache")
    development = work.env.get("COMPOSER_DEV") == "1"
    argv = ["composer", "install", "--no-progress", "--no-ansi", "--prefer-dist", "--optimize-autoloader"]
    work.output.step("Running composer install" + ("" if development else " --no-dev"))
    done = run([*argv, *([] if development else ["--no-dev"])], cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        raise explain_composer(done.text)
    if not kept and tree.is_dir():
        save(cache, "composer", key, tree)
    if "compile" in part(package, "scripts"):
        run_script(work, env)


def run_script(work: Workspace, env: Mapping[str, str]) -> None:
    work.output.step("Running composer compile")
    argv = ["composer", "run-script", "--no-ansi", "--no-dev", "compile"]
    done = run(argv, cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        message = f"The script compile of composer.json failed (exit code {done.code})."
        hint = "Its output is above. Run `composer compile` on a clean clone, correct it and push again."
        raise BuildError("build_script_failed", message, hint=hint)


def document_root(app: Path, package: Mapping[str, Any], env: Mapping[str, str]) -> str:
    """The config var, composer.json's extra.heroku, `public` or `web` with an index.php, else the root ('')."""
    told = env.get("PHP_DOCUMENT_ROOT") or part(part(package, "extra"), "heroku").get("document-root")
    if told:
        root = inside(told, "")
        if root and not (app / root).is_dir():
            hint = (
                "Correct PHP_DOCUMENT_ROOT, or extra.heroku.document-root of composer.json, and push again."
            )
            raise BuildError("document_root_missing", f"There is no folder {root} to serve.", hint=hint)
        return root
    if (app / "index.php").is_file():
        return ""
    return next((name for name in ("public", "web") if (app / name / "index.php").is_file()), "")


def runtime_env(app: Path, vendor: str) -> dict[str, str]:
    return {
        "PATH": f"{app}/.paas/php:{app}/{vendor}/bin:/usr/local/bin:/usr/bin:/bin",
        "LANG": "C.UTF-8",
        "APP_ENV": "production",
        "LOG_CHANNEL": "stderr",
    }


PHP = Buildpack("php", "PHP", "composer.json or index.php", detect, compile_app)
