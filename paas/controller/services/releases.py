"""Making releases. Every change of code, config, formation, domains, kernel parameters, sandbox is a `create_release`.

In: what changes against the newest release.  Out: a numbered, frozen release and the deployment that brings it live.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import transaction

from paas.controller.encryption import decrypt_config, encrypt_config
from paas.controller.models import App, Deployment, OneOff, Release, Slug, Stack, User
from paas.controller.selectors import languages
from paas.controller.selectors.formation import DEFAULT_SIZE, SIZES
from paas.controller.selectors.releases import newest_release
from paas.controller.selectors.volumes import Binding
from paas.controller.services import deployments, events, logs
from paas.controller.services.bindings import check_bindings
from paas.controller.services.locking import lock_app
from paas.errors import InvalidParams

Formation = dict[str, dict[str, Any]]


def create_release(
    user: User | None,
    app: App,
    kind: str,
    description: str,
    *,
    slug: Slug | None = None,
    config: dict[str, str] | None = None,
    formation: Formation | None = None,
    health_checks: dict[str, Any] | None = None,
    kernel: dict[str, Any] | None = None,
    sandbox: dict[str, Any] | None = None,
    volumes: list[dict[str, Any]] | None = None,
    stack_of: Release | None = None,
    layers: list[dict[str, Any]] | None = None,
) -> Release:
    """Freeze the newest release with these changes as the next one, and start its deployment.

    Call it inside a transaction that holds the app's lock. What is not given stays as it is. `layers`: newer ones of
    the same stack.
    """
    base = newest_release(app)
    mounted = volumes if volumes is not None else (base.volumes if base else [])
    if mounted:
        wanted = formation if formation is not None else (base.formation if base else {})
        check_bindings(app, [Binding(**one) for one in mounted], wanted)
    app.version_counter += 1
    app.save(update_fields=["version_counter", "updated_at"])
    stack, frozen = (stack_of.stack, stack_of.stack_layers) if stack_of else _stack(app, base, slug)
    release = Release.objects.create(
        app=app,
        version=app.version_counter,
        kind=kind,
        description=description[:300],
        user=user,
        slug=slug or (base.slug if base else None),
        stack=stack,
        stack_layers=frozen if layers is None else layers,
        config_encrypted=encrypt_config(config)
        if config is not None
        else (base.config_encrypted if base else b""),
        formation=formation if formation is not None else (base.formation if base else {}),
        health_checks=health_checks if health_checks is not None else (base.health_checks if base else {}),
        domains=list(app.domains.order_by("hostname").values_list("hostname", flat=True)),
        kernel=kernel if kernel is not None else (base.kernel if base else {}),
        sandbox=sandbox if sandbox is not None else (base.sandbox if base else {}),
        volumes=mounted,
    )
    events.record(user, "release.create", release.id, app, version=release.version, kind=kind)
    by = f" by user {user.email}" if user else ""
    transaction.on_commit(
        lambda: logs.say(app.id, f"Release v{release.version} created{by}: {release.description}")
    )
    deployments.start(app, release)
    return release


def _stack(app: App, base: Release | None, slug: Slug | None) -> tuple[str, list[dict[str, Any]]]:
    """A new slug runs on the stack it was built for; anything else keeps the stack of the release before."""
    if slug is None and base is not None:
        return base.stack, base.stack_layers
    name = slug.stack if slug else app.stack
    stack = Stack.objects.filter(name=name).first()
    if stack is None and slug is not None:  # without its layers it would run on the host's own files
        raise InvalidParams(f"The stack {name}, for which this code was built, is gone; build it again.")
    if stack is None:
        return name, []
    packs = slug.buildpacks if slug and not slug.images else []
    if lost := languages.lost(stack, packs):
        raise InvalidParams(
            f"The stack {name} has changed and has no {' and no '.join(lost)} for this code yet; build it again."
        )
    return stack.name, languages.run_layers(stack, packs)


def initial_release(user: User, app: App) -> Release:
    """Make v1 of a new app: no code, no config."""
    return create_release(
        user, app, Release.Kind.INITIAL, "Initial release", config={}, formation={}, health_checks={}
    )


def release_slug(
    user: User | None, app: App, slug: Slug, description: str, health_checks: dict[str, Any] | None = None
) -> Release:
    """Release a slug with the config of the newest release. The first one scales `web` to 1.

    `health_checks` are what the code declares; None keeps those of the newest release.
    """
    if slug.app_id != app.id:
        raise InvalidParams(f"That slug is not one of {app.name}.")
    with transaction.atomic():
        app = lock_app(app.id)
        base = newest_release(app)
        formation = formation_for(slug, base.formation if base else {})
        return create_release(
            user,
            app,
            Release.Kind.DEPLOY,
            description,
            slug=slug,
            formation=formation,
            health_checks=health_checks,
        )


def formation_for(slug: Slug, before: Formation) -> Formation:
    """Carry quantities and sizes over to the slug's process types; `web` starts with one, others with none. The first
    deploy starts with what app.json says."""
    before = before or known_sizes(slug.declared.get("formation", {}))
    return {
        type_: {
            "command": command,
            "quantity": before.get(type_, {}).get("quantity", 1 if type_ == "web" else 0),
            "size": before.get(type_, {}).get("size", DEFAULT_SIZE),
        }
        for type_, command in slug.process_types.items()
        if type_ != "release"
    }


def known_sizes(declared: Formation) -> Formation:
    """Sizes that are not here, such as Heroku's smallest ones, are the default one."""
    return {
        type_: {**entry, "size": entry.get("size") if entry.get("size") in SIZES else DEFAULT_SIZE}
        for type_, entry in declared.items()
    }


def rollback(user: User, app: App, release: Release) -> Release:
    """Make a new release with image, config, formation, health checks, kernel parameters, sandbox and volume mounts of
    an older one. Domains stay, and what is in volumes.
    """
    if release.app_id != app.id:
        raise InvalidParams(f"v{release.version} belongs to another app.")
    if release.slug_id is None:
        raise InvalidParams(
            f"v{release.version} has no code to run; choose a release made by a deploy or after one."
        )
    with transaction.atomic():
        app = lock_app(app.id)
        if app.releases.filter(id=release.id, status__in=Release.NEVER_LIVE).exists():
            raise InvalidParams(
                f"v{release.version} was never live ({release.status}); choose one that has run."
            )
        return create_release(
            user,
            app,
            Release.Kind.ROLLBACK,
            f"Rollback to v{release.version}",
            slug=release.slug,
            config=decrypt_config(release.config_encrypted),
            formation=release.formation,
            health_checks=release.health_checks,
            kernel=release.kernel,
            sandbox=release.sandbox,
            volumes=release.volumes,
            stack_of=release,
        )


def prune(app: App) -> int:
    """Drop the oldest releases over the configured number, but none that serves, is on its way or still runs."""
    keep = max(1, settings.PAAS.releases_kept)
    old = list(app.releases.order_by("-version").values_list("id", flat=True)[keep:])
    idle = app.releases.filter(id__in=old).exclude(id__in=[app.current_release_id])
    idle = idle.exclude(deployments__status=Deployment.Status.ACTIVE).exclude(instances__isnull=False)
    ids = [one for one in idle.values_list("id", flat=True) if not _runs_something(one)]
    app.releases.filter(id__in=ids).delete()
    return len(ids)


def _runs_something(release_id: UUID) -> bool:
    return OneOff.objects.filter(release_id=release_id, finished_at__isnull=True).exists()
