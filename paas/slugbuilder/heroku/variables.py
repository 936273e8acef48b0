"""What a buildpack's programs see.

In: a build's environment.  Out: config vars for ENV_DIR, and a clean process environment. Pure.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from ..environment import CA_VARIABLES

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
# What would change how the buildpack's own tools work: Heroku's buildpacks leave these out, too.
UNSAFE = frozenset({"PATH", "GIT_DIR", "CPATH", "CPPATH", "LD_PRELOAD", "LIBRARY_PATH", "LD_LIBRARY_PATH"})
PLATFORMS = frozenset(
    "PYTHONPATH HOME STACK SOURCE_VERSION PAAS_APP_NAME HOSTNAME PWD OLDPWD SHLVL TERM TMPDIR _".split()
)
STACKS = {"debian-12": "heroku-22"}  # all others are as new as heroku-24


def config_of(environ: Mapping[str, str]) -> dict[str, str]:
    """The app's config vars among what the container was given, without what is the platform's or unsafe."""
    left_out = UNSAFE | PLATFORMS
    return {name: value for name, value in environ.items() if NAME.fullmatch(name) and name not in left_out}


def clean_environment(env: Mapping[str, str], stack: str) -> dict[str, str]:
    """No config var in it: a buildpack reads those from ENV_DIR."""
    kept = ("HOME", "TMPDIR", "SOURCE_VERSION", *CA_VARIABLES)
    trusted = {name: env[name] for name in kept if name in env}
    return {**trusted, "PATH": PATH, "LANG": "C.UTF-8", "STACK": STACKS.get(stack, "heroku-24")}


def write_env_dir(folder: Path, config: Mapping[str, str]) -> Path:
    """One file per config var, its name, exactly its value."""
    folder.mkdir(mode=0o700, parents=True)
    for name, value in config.items():
        (folder / name).write_bytes(value.encode("utf-8", "surrogateescape"))
    return folder
