"""The assets of a Ruby app: `rake assets:precompile`, where the app has that task.

In: an app whose gems are installed.  Out: `public/assets`, or a BuildError. Nothing of the production database is
touched: there is none in a build.
"""

from __future__ import annotations

import shutil
from collections.abc import Mapping

from ..command import run
from ..errors import BuildError
from ..gemfile_lock import GemfileLock
from ..tree_cache import key_of, restore, save
from ..workspace import Workspace

TASK = "assets:precompile"
MANIFESTS = ("assets/.manifest.json", "assets/manifest*.json", "assets/.sprockets-manifest-*.json")
DATABASES = {"pg": "postgresql", "mysql2": "mysql2", "trilogy": "trilogy"}
RAKEFILES = ("Rakefile", "rakefile", "Rakefile.rb", "rakefile.rb")


def compile_assets(work: Workspace, lock: GemfileLock, env: Mapping[str, str]) -> None:
    """Ask rake for its tasks and run the one for assets. Assets that are part of the commit are left alone."""
    if "rake" not in lock.gems or not any((work.app / name).is_file() for name in RAKEFILES):
        return
    if any(any((work.app / "public").glob(pattern)) for pattern in MANIFESTS):
        work.output.info(
            "Assets are part of the commit (public/assets has a manifest): they are not compiled"
        )
        return
    env = asset_environment(env, lock)
    rails = "railties" in lock.gems
    listed = run(["bundle", "exec", "rake", "-A", "-T", f"^{TASK}$"], cwd=work.app, env=env, output=None)
    if listed.code != 0:
        lines = tuple(line[:200] for line in listed.lines if line.strip())[-12:]
        if rails:
            hint = "It must start without its database: run `RAILS_ENV=production SECRET_KEY_BASE_DUMMY=1 rake -AT`."
            raise BuildError(
                "assets_failed", "rake could not list the app's tasks.", details=lines, hint=hint
            )
        work.output.warn(
            "rake could not list the app's tasks, so no assets are compiled: " + " ".join(lines[-2:])
        )
        return
    if not any(line.partition("#")[0].strip() == f"rake {TASK}" for line in listed.lines):
        return
    with work.timed("assets"):
        precompile(work, env)


def precompile(work: Workspace, env: Mapping[str, str]) -> None:
    kept, key = work.app / "tmp" / "cache" / "assets", key_of([work.stack.name])
    kept.parent.mkdir(parents=True, exist_ok=True)
    restore(work.cache, "assets", key, kept)
    work.output.step(f"Running rake {TASK}")
    done = run(["bundle", "exec", "rake", TASK], cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        hint = f"Its output is above. Run `RAILS_ENV=production SECRET_KEY_BASE_DUMMY=1 rake {TASK}` on a clean clone."
        raise BuildError("assets_failed", f"rake {TASK} failed (exit code {done.code}).", hint=hint)
    if kept.is_dir():
        save(work.cache, "assets", key, kept)
    shutil.rmtree(work.app / "tmp" / "cache", ignore_errors=True)


def asset_environment(env: Mapping[str, str], lock: GemfileLock) -> dict[str, str]:
    """Rails wants a secret and an address of its database even where it uses neither."""
    adapter = next((name for gem, name in DATABASES.items() if gem in lock.gems), "")
    database = {"DATABASE_URL": f"{adapter}://nobody:nothing@127.0.0.1/none"} if adapter else {}
    dummy = {} if env.get("SECRET_KEY_BASE") else {"SECRET_KEY_BASE_DUMMY": "1"}
    return {**database, **dummy, "RAILS_GROUPS": "assets", **env}
