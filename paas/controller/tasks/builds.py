"""Running builds: a job on a host, its lines to the pusher, a slug and a release at the end.

In: a build's id.  Out: a build that has ended, or one that the next worker continues where this one stopped.
"""

from __future__ import annotations

import logging
import secrets
import time
from contextlib import AbstractContextManager
from uuid import UUID

from celery import shared_task
from django.conf import settings

from paas.controller import streams
from paas.controller.agents import agent
from paas.controller.models import App, Build, Host, Stack
from paas.controller.queue import send
from paas.controller.redis_connection import RedisError, client
from paas.controller.selectors import specs
from paas.controller.selectors.caches import cache_name
from paas.controller.selectors.config import config_vars
from paas.controller.selectors.planning import describe_exit
from paas.controller.services import (
    build_output,
    build_queue,
    builds,
    declared,
    image_builds,
    languages,
    prebuilt,
    source_fetching,
)
from paas.controller.services.build_fences import limit_met
from paas.controller.services.buildpacks import builder_arguments
from paas.controller.services.images import builder_image
from paas.controller.services.source_fetching import source_arguments
from paas.controller.tasks.beating import beating
from paas.errors import InvalidParams
from paas.oci.errors import ImageError
from paas.oci.fetch import Cancelled
from paas.slugbuilder.dockerfile.plan import REGISTRY_AUTH, Plan
from paas.slugbuilder.language_detection import needed_languages
from paas.slugbuilder.masking import Masker
from runtime.client import AgentClient, AgentRefused, AgentUnavailable
from runtime.model import (
    ContainerSpec,
    ImageRef,
    JobInput,
    JobOutput,
    JobSpec,
    JobState,
    JobStatus,
    Stream,
)

logger = logging.getLogger(__name__)

BUILDER = ("python3", "-m", "slugbuilder", "build")
RESULT_PATH = "/tmp/build/result.json"
SOURCE_PATH = "/source.tar"
AGENT_PATIENCE = 60.0  # seconds an agent may be away in mid-build before the build fails
PUSHER_PATIENCE = 20.0  # seconds without a sign of the pusher before the build is cancelled
PUSHER_GRACE = 5.0  # seconds to wait for such a sign before a release is made
OUTPUT_MAX = 8 * 1024**2  # bytes; the builder stops long before, what goes around it ends here


class Lost(Exception):
    """The build is no longer this worker's: cancelled, or taken over."""


@shared_task
def run_build(build_id: str) -> None:
    worker = secrets.token_hex(8)
    build = build_queue.claim(build_id, worker)
    if build is None:
        build_queue.tell_waiting()
        return
    if build.attempts > builds.ATTEMPTS_MAX:
        message = f"{builds.ATTEMPTS_MAX} workers ended in the middle of it; push again, and report it if it stays so"
        builds.fail(build, "internal_error", message)
        return
    try:
        with _watched(build, worker):
            if build.image:
                prebuilt.run(build, lambda: builds.beat(build.id, worker))
            else:
                source_fetching.bring(build, lambda: builds.beat(build.id, worker))
                declared.prepare(build)
                _run(build, worker)
    except (Lost, Cancelled):
        logger.info("build %s is no longer ours", build_id)
    except (AgentUnavailable, AgentRefused) as error:
        builds.fail(build, "host_unavailable", f"the host that builds does not answer: {error}")
    except (InvalidParams, ImageError) as error:
        builds.fail(build, error.id, error.message)
    except Exception:
        logger.exception("build %s failed inside the platform", build_id)
        builds.fail(
            build,
            "internal_error",
            "the platform failed while building; push again, and report it if it stays so",
        )


def _run(build: Build, worker: str) -> None:
    host = _host(build, worker)
    hosting = agent(host)
    began = time.monotonic()
    plan = image_builds.plan_of(build)
    spec = job_spec(build, _languages(build) if plan is None else ())
    if plan is not None:
        spec = image_builds.order(build, plan, spec)
    if not builds.beat(build.id, worker):  # adding a language takes minutes
        raise Lost
    builds.note_materials(build, spec.container.rootfs)
    _put(hosting, spec)
    _relay(build, worker, hosting)
    status = _result(build, worker, hosting)
    _finish(build, status, time.monotonic() - began, plan)
    try:
        hosting.cancel_job(str(build.id))  # an ended job is forgotten
    except (AgentUnavailable, AgentRefused) as error:
        logger.info("the job of build %s is forgotten by its host later: %s", build.id, error)
    purged = App.objects.filter(id=build.app_id).exclude(cache_generation=build.app.cache_generation)
    if purged.exists():  # while this build used the old cache
        send("caches.drop_caches", str(build.app_id))


def _host(build: Build, worker: str) -> Host:
    """Wait a bounded time for a host that can build."""
    deadline = time.monotonic() + AGENT_PATIENCE
    while True:
        host = build_queue.assign_host(build)
        if host is not None:
            return host
        if time.monotonic() > deadline:
            raise InvalidParams("No host is ready to build; look at the hosts page, then push again.")
        if not builds.beat(build.id, worker):
            raise Lost
        time.sleep(0.5)


def _put(hosting: AgentClient, spec: JobSpec) -> None:
    """Give the job to the host, which may be starting its agent anew just now."""
    deadline = time.monotonic() + AGENT_PATIENCE
    while True:
        try:
            hosting.put_job(spec)
            return
        except AgentUnavailable:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)


def _languages(build: Build) -> tuple[str, ...]:
    """Find out which languages the source needs of its stack; make what the stack lacks. The host's own /usr has what
    it has. Raises ImageError."""
    stack = Stack.objects.filter(name=build.stack).first()
    if stack is None or stack.on_host:
        return ()
    source, folder = builds.source_path(build.id), source_fetching.folder_of(build.app)
    names = needed_languages(source, build.app.buildpacks, folder)
    languages.ensure_languages(stack, names, lambda line: build_output.write(build.id, line))
    return names


def job_spec(build: Build, needed: tuple[str, ...] = ()) -> JobSpec:
    """Return the order for the build container. Raises InvalidParams when the stack has not been set up."""
    stack = Stack.objects.filter(name=build.stack).first()
    builder = builder_image()
    if stack is None or builder is None:
        raise InvalidParams(f"The stack {build.stack} is not set up; run script/up, or choose another stack.")
    env = {
        **{name: value for name, value in build_config(build.app).items() if name != REGISTRY_AUTH},
        "PATH": "/opt/paas/bin:/usr/local/bin:/usr/bin:/bin",
        "PYTHONPATH": "/opt/paas",
        "HOME": "/app",
        "STACK": build.stack,
        "SOURCE_VERSION": build.commit,
        "PAAS_APP_NAME": build.app.name,
    }
    container = ContainerSpec(
        id=str(build.id),
        owner=str(build.app_id),
        name="build",
        rootfs=specs.build_rootfs(stack, builder, needed),
        argv=(
            *BUILDER,
            "--stack",
            build.stack,
            "--result",
            RESULT_PATH,
            *builder_arguments(build.app),
            *source_arguments(build.app),
        ),
        env=env,
        hostname="build",
        limits=specs.build_limits(),
        network=specs.BUILD_NETWORK,
        grace_seconds=3.0,
    )
    return JobSpec(
        container=container,
        timeout=float(settings.PAAS.build_timeout),
        inputs=(JobInput(path=f"/internal/sources/{build.id}", target=SOURCE_PATH),),
        output=JobOutput(directory="/app", keep_times=True, dependencies=True, offer=True),
        cache=cache_name(build.app, build.stack),
        result_path=RESULT_PATH,
    )


def build_config(app: App) -> dict[str, str]:
    """Return what a build sees of the app's config vars, over the operator's package proxies."""
    proxies = {
        "PIP_INDEX_URL": settings.PAAS.pip_index_url,
        "NPM_CONFIG_REGISTRY": settings.PAAS.npm_registry,
    }
    own = config_vars(app)
    chosen = {name.upper() for name in own}
    return {name: url for name, url in proxies.items() if url and name not in chosen} | own


def _relay(build: Build, worker: str, hosting: AgentClient) -> None:
    """Stream the job's lines to the pusher, from where a worker before this one stopped."""
    cursor, masker = _last_cursor(build.id), Masker(build_config(build.app))
    for line in hosting.logs(str(build.id), cursor=cursor, follow=True, reconnect=AGENT_PATIENCE):
        builders = line.stream is not Stream.SYSTEM  # the agent's own words are not the build's
        if builders and line.cursor <= OUTPUT_MAX:
            build_output.write_at(build.id, line.cursor, masker.mask(line.text[: build_output.LINE_MAX]))


def _last_cursor(build_id: UUID) -> int:
    try:
        for _, values in client().xrevrange(streams.build_log(build_id), count=50):
            if "cursor" in values:
                return int(values["cursor"])
    except RedisError:
        logger.info("The output of build %s starts again: Redis does not say how far it came", build_id)
    return 0


def _result(build: Build, worker: str, hosting: AgentClient) -> JobStatus:
    """Wait for the job's end, through restarts of its agent."""
    lost_since: float | None = None
    while True:
        try:
            status = hosting.job(str(build.id), wait=5)
            lost_since = None
        except AgentUnavailable:
            lost_since = lost_since or time.monotonic()
            if time.monotonic() - lost_since > AGENT_PATIENCE:
                raise
            time.sleep(0.3)
            continue
        if status.state in {JobState.SUCCEEDED, JobState.FAILED}:
            return status
        if not builds.beat(build.id, worker):
            raise Lost


def _finish(build: Build, status: JobStatus, seconds: float, plan: Plan | None = None) -> None:
    if status.state is JobState.SUCCEEDED and status.slug is not None:
        steps = status.timings
        after = steps.get("package", 0.0) + steps.get("upload", 0.0)
        timings = {"build": max(0.0, seconds - after), "package": after}
        slug = ImageRef(digest=status.slug.digest, size=status.slug.size)
        if not _pusher_waits(build):
            builds.cancel_build(None, build)
            return
        if plan is not None:
            image_builds.succeed(build, plan, slug, builds.read_result(status.result), timings)
            return
        build_output.write(build.id, f"-----> {packaged(status, slug)}")
        builds.succeed(build, slug, builds.read_result(status.result), timings, layers=status.layers)
        return
    _fail(build, status, builds.read_failure(status.result))


def packaged(status: JobStatus, slug: ImageRef) -> str:
    """Say what the slug weighs, and what of it the image store did not have."""
    below = sum(layer.size for layer in status.layers)
    parts = f" and {below / 1024**2:.1f} MB of dependencies" if status.layers else ""
    sent = f", {status.uploaded / 1024**2:.1f} MB of it new" if status.layers else ""
    return f"Packaged: {slug.size / 1024**2:.1f} MB{parts}{sent}, {slug.digest[:19]}"


def _fail(build: Build, status: JobStatus, error: builds.Failure | None) -> None:
    """Say why: the builder's own words, the limit that was met, or how the container ended."""
    said = Masker(build_config(build.app)).mask(error.message) if error else ""
    limit = limit_met(status)
    if error and limit:
        sentence = f"{limit.words[:1].upper()}{limit.words[1:]}. {limit.next_step}"
        build_output.write(build.id, f" !     {sentence}", " !")
        builds.fail(build, limit.id_for(error.id), f"{said} {sentence}")
    elif error:
        builds.fail(build, error.id, said)
    elif limit:
        builds.fail(build, limit.error_id, f"{limit.words}. {limit.next_step}")
    elif status.exit is not None:
        how = f"the build {describe_exit(status.exit)}"
        more = "" if status.message in how else status.message
        builds.fail(build, "build_failed", f"{how.rstrip('.')}. {more}".strip())
    else:
        builds.fail(build, "build_failed", status.message or "the build ended without a result")


def _pusher_waits(build: Build) -> bool:
    """Whether the push is still there to be told: what nobody waits for must not go live behind git's back.

    A Redis that has just restarted gets some time to hear of the pusher again.
    """
    deadline = time.monotonic() + PUSHER_GRACE
    while builds.pusher_is_there(build) is False:
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True


def _watched(build: Build, worker: str) -> AbstractContextManager[None]:
    """While the build runs: a heartbeat every second, and an end to it when it is cancelled or its pusher is gone."""
    missing_since: float | None = None

    def beat() -> bool:
        nonlocal missing_since
        if not builds.beat(build.id, worker):
            _stop_job(build)
            return False
        missing_since = _missing(build, missing_since)
        if missing_since and time.monotonic() - missing_since > PUSHER_PATIENCE:
            builds.cancel_build(None, build)
        return True

    return beating(f"build {build.id}", beat)


def _missing(build: Build, since: float | None) -> float | None:
    """Return since when the pusher has not been seen; a Redis that cannot tell changes nothing."""
    there = builds.pusher_is_there(build)
    if there is None:
        return None
    return None if there else since or time.monotonic()


def _stop_job(build: Build) -> None:
    fresh = Build.objects.select_related("host").filter(id=build.id).first()
    if fresh is None or fresh.status == Build.Status.BUILDING:
        return  # destroyed with its app (which stops the job), or another worker's now
    if fresh.host is not None and fresh.status in {Build.Status.CANCELLED, Build.Status.FAILED}:
        stop_job(str(build.id), str(fresh.host_id))


@shared_task
def stop_job(job_id: str, host_id: str) -> None:
    """Stop a job on its host; for builds and one-offs whose rows may be gone already."""
    host = Host.objects.filter(id=UUID(host_id)).first() if host_id else None
    if host is None:
        return
    try:
        agent(host).cancel_job(job_id)
    except AgentRefused:
        return
    except AgentUnavailable as error:
        logger.warning(
            "Job %s was not stopped on %s; it ends by its own timeout: %s", job_id, host.name, error
        )
