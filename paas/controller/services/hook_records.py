"""What the last hooks of a repository said and what became of them, for whoever looks why nothing was deployed.

In: a hook and its answer.  Out: rows, the newest few of each repository.
"""

from __future__ import annotations

from contextlib import suppress

from django.db import IntegrityError, transaction
from django.utils import timezone

from paas.controller.models import Build, HookRecord, Source
from paas.controller.texts import storable
from paas.sources.hooks import Hook

KEPT = 20  # of one repository
UNSIGNED = "unsigned"


def record(source: Source, hook: Hook, words: str, build: Build | None) -> None:
    """Note a hook that was signed. One of a repository that is disconnected meanwhile is nobody's any more."""
    with suppress(IntegrityError), transaction.atomic():
        HookRecord.objects.create(
            source=source,
            kind=hook.kind,
            branch=storable(hook.branch)[:255],
            commit=hook.commit,
            words=words[:500],
            build=build,
        )
        newest = HookRecord.objects.filter(source=source).order_by("-at", "-id").values_list("id", flat=True)
        HookRecord.objects.filter(id__in=list(newest[KEPT : 2 * KEPT])).delete()


def record_unsigned(source: Source, words: str) -> None:
    """Note one whose signature is wrong, over the one before: strangers cannot push the others out of the list."""
    with suppress(IntegrityError), transaction.atomic():
        HookRecord.objects.update_or_create(
            source=source, kind=UNSIGNED, defaults={"words": words[:500], "at": timezone.now()}
        )


def link_build(source: Source, commit: str, build: Build) -> None:
    """Note the build of a commit that was pushed while another build ran."""
    waited = HookRecord.objects.filter(source=source, kind="push", commit=commit, build=None)
    newest = waited.filter(words__startswith="noted").order_by("-at").first()
    if newest is not None:
        newest.build = build
        newest.save(update_fields=["build"])
