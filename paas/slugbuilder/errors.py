"""Why a build stopped.

In: what a step found.  Out: an exception that the pipeline prints as ` !     ` lines and stores in `result.json`.
"""

from __future__ import annotations

# Ids that name the step which failed, not the cause: a limit that was met explains them.
VAGUE = frozenset(
    "install_failed package_build_failed package_script_failed build_script_failed assets_failed collectstatic_failed "
    "go_build_failed java_build_failed buildpack_compile_failed cnb_build_failed dockerfile_failed".split()
)


class BuildError(Exception):
    """A build that cannot go on because of the source, its dependencies or its settings.

    `id` is stable and machine readable, `message` says what happened in one sentence, `details` are the lines below
    it (the cause), `hint` says what to do next.
    """

    def __init__(self, error_id: str, message: str, *, details: tuple[str, ...] = (), hint: str = "") -> None:
        super().__init__(message)
        self.id = error_id
        self.message = message
        self.details = details
        self.hint = hint
