"""Custom host names of apps.

In: a host name.  Out: a row, a release that freezes it, and a new route table.
"""

from __future__ import annotations

import re

from django.conf import settings
from django.db import IntegrityError, transaction

from paas.controller.models import App, Domain, Release, User
from paas.controller.services import deployments
from paas.controller.services.locking import lock_app
from paas.controller.services.releases import create_release
from paas.controller.texts import storable
from paas.errors import InvalidParams, NotFound

HOSTNAME = re.compile(r"(\*\.)?([a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")


def add_domain(user: User, app: App, hostname: str) -> Domain:
    """Let `hostname` (or `*.name`) reach the app. Raises InvalidParams when it is bad or another app's."""
    name = hostname.strip().rstrip(".").lower()
    if len(name) > 253 or not HOSTNAME.fullmatch(name) or name.rpartition(".")[2].isdigit():
        raise InvalidParams(f"{hostname!r} is not a host name.")
    if name == settings.PAAS.domain or name.endswith(f".{settings.PAAS.domain}"):
        raise InvalidParams(f"Names under {settings.PAAS.domain} belong to the platform.")
    try:
        with transaction.atomic():
            app = lock_app(app.id)
            domain = Domain.objects.create(app=app, hostname=name)
            create_release(user, app, Release.Kind.DOMAINS, f"Add domain {name}")
            deployments.bump_routes()
    except IntegrityError as error:
        raise InvalidParams(f"{name} is in use already.", resource="domain") from error
    return domain


@transaction.atomic
def remove_domain(user: User, app: App, hostname: str) -> Domain:
    app = lock_app(app.id)
    domain = Domain.objects.filter(app=app, hostname=storable(hostname).strip().rstrip(".").lower()).first()
    if domain is None:
        raise NotFound(f"Couldn't find domain {hostname} on {app.name}.", app=app.name, resource="domain")
    domain_id = domain.id
    domain.delete()
    domain.id = domain_id
    create_release(user, app, Release.Kind.DOMAINS, f"Remove domain {domain.hostname}")
    deployments.bump_routes()
    return domain
