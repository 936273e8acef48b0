"""Ruby apps: gems from Gemfile.lock by Bundler, Rails' assets, default processes.

In: Gemfile and Gemfile.lock.  Out: `vendor/bundle`, compiled assets, the default web process.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping
from pathlib import Path

from ..command import capture, run
from ..errors import BuildError
from ..gemfile_lock import GemfileLock, parse_gemfile_lock
from ..tree_cache import key_of, restore, save
from ..workspace import Buildpack, Compiled, Workspace
from .hooks import run_hook
from .ruby_assets import compile_assets
from .ruby_errors import explain_bundler

BUNDLE = "vendor/bundle"
WORKER_MB = 256
WITHOUT = "development:test"


def detect(app: Path) -> bool:
    return (app / "Gemfile").is_file()


def compile_app(work: Workspace) -> Compiled:
    work.output.step("Ruby app detected")
    version, abi = choose_ruby(work)
    lock = read_lock(work.app)
    tell_left_aside(work, lock)
    env = bundle_environment(work, abi)
    run_hook(work, "pre_compile", env)
    with work.timed("install"):
        install_gems(work, version, env)
    compile_assets(work, lock, {**env, **rails_defaults(work.env)})
    run_hook(work, "post_compile", env)
    processes = default_processes(work.app, lock)
    warn_of_secret(work, lock)
    return Compiled(
        version=version,
        processes=processes,
        env=runtime_env(work.app, abi),
        dependencies=(BUNDLE,),
        web_memory_mb=WORKER_MB,
        no_web="" if "web" in processes else "It is no Rails app, and there is no config.ru.",
    )


def choose_ruby(work: Workspace) -> tuple[str, str]:
    """Return the version of the stack's Ruby and the one that gems are bound to. Bundler checks the Gemfile's."""
    said = capture(["ruby", "-e", 'puts RUBY_VERSION, RbConfig::CONFIG["ruby_version"]'], work.env).split()
    if len(said) != 2 or not capture(["bundle", "--version"], work.env):
        message = f"Stack {work.stack.name} has no {'Bundler' if said else 'Ruby'}."
        hint = "Choose a stack made by the platform, such as debian-13; on the host stack install ruby and bundler."
        raise BuildError("ruby_missing", message, hint=hint)
    work.output.info(f"Using Ruby {said[0]} (stack {work.stack.name})")
    file = work.app / ".ruby-version"
    wanted = file.read_text("utf-8", "replace").strip().removeprefix("ruby-") if file.is_file() else ""
    if wanted and wanted.split(".")[:2] != said[0].split(".")[:2]:
        message = f".ruby-version asks for Ruby {wanted[:40]}, stack {work.stack.name} has {said[0]}."
        minor = ".".join(said[0].split(".")[:2])
        hint = f"Write {minor} into .ruby-version (or remove the file), or choose a stack with that Ruby."
        raise BuildError("ruby_version_unsupported", message, hint=hint)
    return said[0], said[1]


def read_lock(app: Path) -> GemfileLock:
    file = app / "Gemfile.lock"
    if not file.is_file():
        message = "The app has a Gemfile and no Gemfile.lock, without which every build would get other gems."
        raise BuildError(
            "lock_missing", message, hint="Run `bundle install`, commit Gemfile.lock and push again."
        )
    return parse_gemfile_lock(file.read_text("utf-8-sig", "replace"))


def tell_left_aside(work: Workspace, lock: GemfileLock) -> None:
    have = bundler_version(work)
    if lock.bundler and have != lock.bundler:
        work.output.info(f"Gemfile.lock is by Bundler {lock.bundler}: the stack's, {have}, is used")
    if (work.app / ".bundle" / "config").is_file():
        work.output.warn(
            ".bundle/config is not read: it is of another machine. Set config vars such as BUNDLE_WITHOUT."
        )
    if (work.app / BUNDLE).exists():
        work.output.warn(f"{BUNDLE} is part of the commit: it is replaced. Add it to .gitignore.")
        shutil.rmtree(work.app / BUNDLE)


def bundler_version(work: Workspace) -> str:
    return capture(["bundle", "--version"], work.env).rpartition(" ")[2]


def bundle_environment(work: Workspace, abi: str) -> dict[str, str]:
    """The app's own BUNDLE_ config vars win; where gems go and that the lock holds is the platform's."""
    return {
        "BUNDLE_WITHOUT": WITHOUT,
        "BUNDLE_JOBS": "2",
        "BUNDLE_SILENCE_ROOT_WARNING": "true",
        "BUNDLER_VERSION": bundler_version(work),  # no other one is fetched for the lock's sake
        "BUNDLE_RETRY": "2",
        "RACK_ENV": "production",
        **work.env,
        **placed(work.app),
        "BUNDLE_USER_HOME": str(work.cache_dir("bundle")),
        "BUNDLE_GLOBAL_GEM_CACHE": "true",
        "BUNDLE_DISABLE_SHARED_GEMS": "true",
        "GEM_HOME": f"{work.app}/{BUNDLE}/ruby/{abi}",
    }


def placed(app: Path) -> dict[str, str]:
    return {
        "BUNDLE_PATH": f"{app}/{BUNDLE}",
        "BUNDLE_FROZEN": "true",
        "BUNDLE_VERSION": "system",
        "BUNDLE_APP_CONFIG": f"{app}/.paas/bundle",
    }


def rails_defaults(env: Mapping[str, str]) -> dict[str, str]:
    return {
        "RAILS_ENV": env.get("RAILS_ENV") or "production",
        "RACK_ENV": env.get("RACK_ENV") or "production",
    }


def install_gems(work: Workspace, version: str, env: Mapping[str, str]) -> None:
    """All gems of the lock but those of left-out groups: kept ones, those in vendor/cache, or the gem server's."""
    key = bundle_key(work, version, env)
    tree = work.app / BUNDLE
    tree.parent.mkdir(exist_ok=True)
    if restore(work.cache, "bundle", key, tree):
        work.output.info("Gems restored from the cache")
        return
    cached = any((work.app / "vendor" / "cache").glob("*.gem"))
    work.output.step(f"Running bundle install{' with the gems of vendor/cache' if cached else ''}")
    argv = ["bundle", "install"]
    done = run([*argv, *(["--local"] if cached else [])], cwd=work.app, env=env, output=work.output)
    if done.code != 0 and cached and "Could not find" in done.text:
        work.output.info("vendor/cache lacks some of them; asking the gem server")
        done = run(argv, cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        raise explain_bundler(done.text)
    tidy(tree)
    save(work.cache, "bundle", key, tree)


def bundle_key(work: Workspace, version: str, env: Mapping[str, str]) -> str:
    """Everything that decides what is installed. Gems of the repository's own folders are not in the tree."""
    files = [
        work.app / "Gemfile",
        work.app / "Gemfile.lock",
        *sorted((work.app / "vendor" / "cache").glob("*.gem")),
    ]
    settings = sorted(f"{name}={value}" for name, value in env.items() if name.startswith("BUNDLE_"))
    cached = [part for file in files for part in (file.name, file.read_bytes())]
    return key_of([version, work.stack.name, *settings, *cached])


def tidy(tree: Path) -> None:
    """What only installing needs, or holds the time and place of it."""
    for folder in tree.glob("ruby/*/cache"):
        shutil.rmtree(folder)
    for name in ("gem_make.out", "mkmf.log"):
        for file in tree.rglob(name):
            file.unlink()


def default_processes(app: Path, lock: GemfileLock) -> dict[str, str]:
    """As at Heroku: Rails' server, else rackup for config.ru; Puma where the app has it."""
    port = "${PORT:-5000}"
    rake = {"rake": "bundle exec rake"} if "rake" in lock.gems and (app / "Rakefile").is_file() else {}
    if "railties" in lock.gems:
        rails = "bin/rails" if (app / "bin" / "rails").is_file() else "bundle exec rails"
        return {"web": f"{rails} server -p {port} -e $RAILS_ENV", "console": f"{rails} console", **rake}
    if not (app / "config.ru").is_file():
        return rake
    if "puma" in lock.gems:
        return {"web": f"bundle exec puma -p {port}", **rake}
    return {"web": f"bundle exec rackup config.ru -o 0.0.0.0 -p {port}", **rake}


def warn_of_secret(work: Workspace, lock: GemfileLock) -> None:
    known = ("SECRET_KEY_BASE", "RAILS_MASTER_KEY")
    if "railties" in lock.gems and not any(work.env.get(name) for name in known):
        work.output.warn(
            "Neither SECRET_KEY_BASE nor RAILS_MASTER_KEY is set, and Rails does not start without: "
            "paas config:set SECRET_KEY_BASE=$(openssl rand -hex 64)"
        )


def runtime_env(app: Path, abi: str) -> dict[str, str]:
    gems = f"{app}/{BUNDLE}/ruby/{abi}"
    return {
        "PATH": f"{app}/bin:{gems}/bin:/usr/local/bin:/usr/bin:/bin",
        "GEM_PATH": gems,
        "BUNDLE_WITHOUT": WITHOUT,
        **placed(app),
        "RACK_ENV": "production",
        "RAILS_ENV": "production",
        "RAILS_SERVE_STATIC_FILES": "enabled",
        "RAILS_LOG_TO_STDOUT": "enabled",
        "MALLOC_ARENA_MAX": "2",
        "LANG": "C.UTF-8",
    }


RUBY = Buildpack("ruby", "Ruby", "Gemfile", detect, compile_app)
