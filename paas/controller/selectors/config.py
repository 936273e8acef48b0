"""Reading config vars.

In: an app.  Out: the values that its newest release carries.
"""

from __future__ import annotations

from paas.controller.models import App
from paas.controller.selectors.releases import newest_release, release_config

__all__ = ["config_vars", "release_config"]


def config_vars(app: App) -> dict[str, str]:
    release = newest_release(app)
    return release_config(release) if release else {}
