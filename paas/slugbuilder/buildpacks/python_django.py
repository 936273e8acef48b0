"""Django's static files.

In: an app with manage.py and Django installed.  Out: collected static files, or a BuildError with Django's reason.
"""

from __future__ import annotations

from pathlib import Path

from ..command import Finished, run
from ..errors import BuildError
from ..workspace import Workspace

OFF = "DISABLE_COLLECTSTATIC"


def collect_static(work: Workspace) -> None:
    """Run collectstatic when the app has manage.py and Django; `DISABLE_COLLECTSTATIC=1` leaves it out."""
    manage = find_manage(work.app)
    if manage is None or not list(work.app.glob(".venv/lib/python*/site-packages/django")):
        return
    if work.env.get(OFF, "") not in ("", "0"):
        work.output.info(f"collectstatic left out ({OFF} is set)")
        return
    python = work.app / ".venv" / "bin" / "python"
    # no bytecode beside the app's sources: it would carry the time of this build
    env = {**work.env, "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
    argv = [str(python), manage.name, "collectstatic", "--noinput"]
    done = run(argv, cwd=manage.parent, env=env, output=None)
    report(work, done, manage.relative_to(work.app))


def find_manage(app: Path) -> Path | None:
    """manage.py in the root or one folder below (the shallowest, then the first by name)."""
    root = app / "manage.py"
    if root.is_file():
        return root
    return next(
        (path for path in sorted(app.glob("*/manage.py")) if not path.parent.name.startswith(".")), None
    )


def report(work: Workspace, done: Finished, manage: Path) -> None:
    if done.code == 0:
        work.output.step(f"$ python {manage} collectstatic --noinput")
        for line in done.lines[-3:]:
            if line.strip():
                work.output.info(line.strip())
        return
    if "Unknown command: 'collectstatic'" in done.text:
        return
    if "STATIC_ROOT" in done.text and "ImproperlyConfigured" in done.text:
        work.output.warn(
            "collectstatic left out: settings have no STATIC_ROOT, so static files are not served."
        )
        return
    lines = [line for line in done.lines if line.strip(" ^~") and "<frozen importlib" not in line]
    raise BuildError(
        "collectstatic_failed",
        f"`python {manage} collectstatic --noinput` failed.",
        details=tuple(line[:200] for line in lines[-12:]),
        hint=f"Correct the settings (config vars are set during the build), or set {OFF}=1 to leave it out.",
    )
