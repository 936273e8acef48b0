"""Sending one-off processes to hosts, and reading a release phase's output to its pusher."""

from __future__ import annotations

import logging
from collections import deque
from uuid import UUID

from celery import shared_task
from django.utils import timezone

from paas.controller.agents import agent
from paas.controller.encryption import decrypt
from paas.controller.models import Build, Host, OneOff, Release
from paas.controller.selectors.releases import release_config
from paas.controller.services import build_output
from paas.controller.services.one_offs import finished
from paas.controller.texts import storable
from paas.slugbuilder.masking import Masker
from runtime.client import AgentRefused, AgentUnavailable
from runtime.model import ExitInfo, ExitReason, JobSpec, JobState, Stream, decode

logger = logging.getLogger(__name__)

NOT_FOUND = 404
OUTPUT_MAX = 256 * 1024  # characters of a release phase's output that are kept: its end
OUTPUT_LINES = 10_000
LINE_MAX = 10_000


@shared_task
def send_one_off(one_off_id: str) -> None:
    """Give the job to its host. Repeatable: the host knows the id."""
    one_off = OneOff.objects.select_related("host").filter(id=UUID(one_off_id)).first()
    if one_off is None or one_off.finished_at or one_off.stop_requested:
        return
    try:
        agent(one_off.host).put_job(decode(decrypt(one_off.spec), JobSpec))
    except AgentUnavailable as error:
        logger.warning("%s did not reach its host, the tick tries again: %s", one_off.name, error)
        return
    except AgentRefused as error:
        refused = ExitInfo(reason=ExitReason.NOT_STARTED, message=str(error))
        finished(one_off, JobState.FAILED, refused, timezone.now())
        return
    wanted = OneOff.objects.filter(id=one_off.id, stop_requested=False)
    if not wanted.update(sent_at=timezone.now()):
        _cancel(one_off.host, one_off_id)  # stopped, or destroyed with its app, while it was on its way
        return
    if one_off.deployment_id:
        _relay_output(one_off)


def _relay_output(one_off: OneOff) -> None:
    """Show the release phase to the pusher while it runs, and keep what it said with the release."""
    build = Build.objects.filter(release_id=one_off.release_id).first()
    masker = Masker(release_config(one_off.release))
    kept: deque[str] = deque(maxlen=OUTPUT_LINES)
    try:
        for line in agent(one_off.host).logs(str(one_off.id), cursor=0, follow=True):
            if line.stream is Stream.SYSTEM:
                continue
            text = masker.mask(line.text[:LINE_MAX])
            kept.append(storable(text))
            if build is not None:
                build_output.write(build.id, f"       {text}")
    except (AgentUnavailable, AgentRefused) as error:
        logger.warning("The output of %s was cut short: %s", one_off.name, error)
    Release.objects.filter(id=one_off.release_id).update(output="\n".join(kept)[-OUTPUT_MAX:])


@shared_task
def stop_one_off(one_off_id: str) -> None:
    one_off = OneOff.objects.select_related("host").filter(id=UUID(one_off_id)).first()
    if one_off is None or one_off.finished_at:
        return
    if not _cancel(one_off.host, one_off_id):
        cancelled = ExitInfo(reason=ExitReason.CANCELLED)
        finished(one_off, JobState.FAILED, cancelled, timezone.now())


def _cancel(host: Host, job: str) -> bool:
    """End a job. False: its host does not know it, so there is nothing to wait for."""
    try:
        agent(host).cancel_job(job)
    except AgentRefused as error:
        return error.status != NOT_FOUND
    except AgentUnavailable as error:
        logger.warning("The job %s was not stopped, the tick tries again: %s", job, error)
    return True
