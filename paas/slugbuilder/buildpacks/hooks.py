"""The app's own steps around an installation: `bin/pre_compile` and `bin/post_compile`, as at Heroku.

In: a workspace, the name of a step, its environment.  Out: what the script did to the tree, or a BuildError.
"""

from __future__ import annotations

from collections.abc import Mapping

from ..command import run
from ..errors import BuildError
from ..workspace import Workspace


def run_hook(work: Workspace, name: str, env: Mapping[str, str]) -> None:
    """Run bin/NAME in the root of the app, when there is one. A lost execute bit is no obstacle."""
    script = work.app / "bin" / name
    if not script.is_file():
        return
    work.output.step(f"Running bin/{name}")
    with script.open("rb") as opened:
        own_interpreter = opened.read(2) == b"#!"
    if own_interpreter:
        script.chmod(0o755)
    argv = [str(script)] if own_interpreter else ["sh", str(script)]
    done = run(argv, cwd=work.app, env=env, output=work.output)
    if done.code != 0:
        message = f"bin/{name} failed (exit code {done.code})."
        hint = f"Its last lines are above. Run bin/{name} on a clean clone, correct it and push again."
        raise BuildError("build_script_failed", message, hint=hint)
