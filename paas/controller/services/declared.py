"""What app.json asks for, applied: config vars before the first build, the rest by later steps.

In: a build whose source is there.  Out: a config release with what is missing; what a slug declares, checked.
"""

from __future__ import annotations

import secrets

from django.db import transaction

from paas.controller.models import App, Build, Release
from paas.controller.selectors.config import config_vars
from paas.controller.services import build_output
from paas.controller.services.builds import source_path
from paas.controller.services.locking import lock_app_if_there
from paas.controller.services.releases import create_release
from paas.controller.services.source_fetching import files_of
from paas.controller.services.variables import check_variable
from paas.errors import InvalidParams
from paas.slugbuilder.declared import FILE, Variable, parse_declared
from paas.slugbuilder.dockerfile.source_files import Unreadable
from paas.slugbuilder.errors import BuildError

SECRET_BYTES = 32


def prepare(build: Build) -> None:
    """Before the first build of an app: set the config vars that app.json gives and nobody has set. Safe to repeat."""
    if not source_path(build.id).exists() or has_code(build.app):
        return
    variables = _variables(build)
    if not variables:
        return
    with transaction.atomic():
        app = lock_app_if_there(build.app_id)
        if app is None:
            return
        before = config_vars(app)
        new = {one.name: _value(one) for one in variables if one.name not in before and _is_given(one)}
        if not new:
            return
        words = f"Set {', '.join(sorted(new))} config vars (app.json)"
        create_release(build.user, app, Release.Kind.CONFIG, words, config={**before, **new})
    build_output.write(build.id, f"-----> Config vars from app.json: {', '.join(sorted(new))}")


def has_code(app: App) -> bool:
    return app.releases.filter(slug__isnull=False).exists()


def _variables(build: Build) -> tuple[Variable, ...]:
    """What app.json gives; a file that cannot be read is told by the builder."""
    try:
        files = files_of(build, (FILE,))
        found = parse_declared(files[FILE]).env if FILE in files else ()
        for one in found:
            check_variable(one.name, one.value)
    except Unreadable:
        return ()  # the builder says what is wrong with it
    except (BuildError, InvalidParams, ValueError) as error:
        build_output.write(build.id, f"Warning: no config var of app.json was set: {error}")
        return ()
    return found


def _is_given(variable: Variable) -> bool:
    return variable.generated or variable.value is not None


def _value(variable: Variable) -> str:
    return secrets.token_hex(SECRET_BYTES) if variable.generated else variable.value or ""
