"""What the scheduler sees of an app.

In: an app (locked by the caller).  Out: a `Snapshot` of frozen values.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db.models import Count, Q, Sum
from django.utils import timezone

from paas.controller.models import App, Deployment, Host, Instance, OneOff, Release, Router
from paas.controller.selectors.formation import SIZES
from paas.controller.selectors.routes import SERVING
from paas.controller.selectors.sandbox import offers, release_sandbox
from paas.controller.selectors.specs import WEB, base, template
from paas.controller.selectors.volumes import bindings, home_of, written_volumes
from paas.scheduler.model import (
    CommandState,
    DeploymentView,
    HostView,
    InstanceView,
    Phase,
    Process,
    ReleaseView,
    Snapshot,
    Wanted,
)
from runtime.model import ExitInfo, ExitReason, InstanceState, JobState, from_builtins

HOST_QUIET = timedelta(seconds=15)  # reports come every 5 s: no placement on a host that misses three
HOST_LOST = timedelta(seconds=40)  # what it holds is started elsewhere
ROUTER_LOST = timedelta(seconds=20)  # nobody waits for a router that is gone


def snapshot(app: App) -> Snapshot:
    """Return the app as it is now. Call it inside the transaction that applies the plan.

    The number of queries does not depend on how many apps, instances or hosts there are.
    """
    now = timezone.now()
    deployment = (
        Deployment.objects.filter(app=app, status=Deployment.Status.ACTIVE)
        .select_related("release__slug", "release_command")
        .defer("release__config_encrypted", "release_command__spec")
        .first()
    )
    current = Release.objects.filter(app=app, id__in=[app.current_release_id]).select_related("slug")
    rows = Instance.objects.filter(app=app).order_by("created_at", "id").select_related("release")
    instances = list(rows.defer("spec", "release__config_encrypted"))
    hosts = list(Host.objects.all())
    loads = _loads(app.id)
    routers = live_routers(now)
    lost = {host.id for host in hosts if _silent(host.seen_at, now, HOST_LOST)}
    serving = next(map(_release, current.defer("config_encrypted")), None)
    coming = _deployment(deployment, routers) if deployment else None
    bases = _bases_of(instances, serving, coming.release if coming else None)
    return Snapshot(
        app=app.id,
        current=serving,
        deployment=coming,
        instances=tuple(_instance(one, one.host_id in lost, bases.get(one.id, "")) for one in instances),
        hosts=tuple(_host(host, now, *loads.get(host.id, (0, 0))) for host in hosts),
        drain_timeout=float(settings.PAAS.drain_timeout),
        start_timeout=float(settings.PAAS.boot_timeout) + 240,
        routed=bool(routers),
    )


def live_routers(now: datetime) -> list[Router]:
    return list(Router.objects.filter(seen_at__gte=now - ROUTER_LOST))


def _release(release: Release) -> ReleaseView:
    bound = {one.type for one in bindings(release)}
    home = home_of(release.app_id) if bound else None
    processes = tuple(
        Process(
            type=type_,
            quantity=entry["quantity"],
            template=template(release, type_),
            memory_bytes=SIZES[entry["size"]].memory_bytes,
            routable=type_ == WEB,
            base=base(release, type_),
            volumes=written_volumes(release, type_),
            host=home if type_ in bound else None,
        )
        for type_, entry in sorted(release.formation.items())
    )
    return ReleaseView(release.id, release.version, processes, release_sandbox(release).needs, home)


def _deployment(deployment: Deployment, routers: list[Router]) -> DeploymentView:
    state, message = _command(deployment)
    version = deployment.table_version
    return DeploymentView(
        id=deployment.id,
        release=_release(deployment.release),
        phase=Phase(deployment.phase),
        phase_since=deployment.phase_since.timestamp(),
        command=state,
        command_message=message,
        routers_ready=version is not None and all(router.applied >= version for router in routers),
    )


def release_command(release: Release) -> str:
    """Return the release phase's command: of a deploy, and of another change that overtakes one with its code."""
    command = _declared_command(release)
    if not command or release.kind == Release.Kind.DEPLOY:
        return command
    return "" if release.kind == Release.Kind.ROLLBACK or _has_been_released(release) else command


def _declared_command(release: Release) -> str:
    """The process type `release`, after Dokku's `predeploy` script if app.json has one."""
    if release.slug is None:
        return ""
    scripts: dict[str, str] = release.slug.declared.get("scripts", {})
    words = [scripts.get("predeploy", ""), str(release.slug.process_types.get("release", ""))]
    given = [one for one in words if one]
    return given[0] if len(given) == 1 else " && ".join(f"( {one} )" for one in given)


def _has_been_released(release: Release) -> bool:
    """Tell whether the release's code has been live, or its command has ended well."""
    same_code = Q(slug_id=release.slug_id) & Q(app_id=release.app_id)
    done = Q(status=Release.Status.SUCCEEDED) | Q(deployments__release_command__state=JobState.SUCCEEDED)
    return Release.objects.filter(same_code & done).exists()


def _command(deployment: Deployment) -> tuple[CommandState, str]:
    if not release_command(deployment.release):
        return CommandState.ABSENT, ""
    one_off = getattr(deployment, "release_command", None)
    if one_off is None:
        return (CommandState.RUNNING if _another_runs(deployment) else CommandState.WAITING), ""
    if one_off.state == JobState.SUCCEEDED:
        return CommandState.SUCCEEDED, ""
    if one_off.state == JobState.FAILED:
        info = exit_info(one_off.exit)
        how = describe_exit(info) if info else "ended for an unknown reason"
        return CommandState.FAILED, f"the release command {how}"
    return CommandState.RUNNING, ""


def _another_runs(deployment: Deployment) -> bool:
    """The command of the deploy before may still be stopping: two of them never change one database at once."""
    commands = OneOff.objects.filter(app_id=deployment.app_id, deployment__isnull=False)
    return commands.filter(finished_at__isnull=True).exists()


def exit_info(data: Any) -> ExitInfo | None:
    return from_builtins(data, ExitInfo) if data else None


def describe_exit(info: ExitInfo) -> str:
    """Return how a process ended, as the end of a sentence that starts with its name."""
    match info.reason:
        case ExitReason.EXITED:
            return f"exited with status {info.code}"
        case ExitReason.SIGNALED:
            return f"was killed by signal {info.signal}"
        case ExitReason.OOM:
            return "used more memory than its size has and was killed (R15)"
        case ExitReason.NOT_FOUND:
            return "could not start: its command was not found (status 127)"
        case ExitReason.NOT_EXECUTABLE:
            return "could not start: its command is not executable (status 126)"
        case ExitReason.NOT_STARTED:
            return f"could not be started: {info.message}"
        case ExitReason.BOOT_TIMEOUT:
            when = f"within {settings.PAAS.boot_timeout} seconds of launch (R10 boot timeout)"
            late = f"was not healthy {when}: {info.message}"
            return late if info.message else f"did not bind to $PORT {when}"
        case ExitReason.UNHEALTHY:
            return f"was stopped: {info.message or 'its health check failed too often in a row'}"
        case ExitReason.TIMEOUT:
            return "ran longer than it may and was stopped"
        case ExitReason.CANCELLED:
            return "was cancelled"
        case ExitReason.LOST:
            return "was lost: its host stopped without reporting how it ended"


ERROR_IDS = {
    ExitReason.BOOT_TIMEOUT: "boot_timeout",
    ExitReason.OOM: "out_of_memory",
    ExitReason.UNHEALTHY: "unhealthy",
    ExitReason.NOT_FOUND: "command_not_found",
    ExitReason.NOT_EXECUTABLE: "command_not_executable",
    ExitReason.NOT_STARTED: "not_started",
}


def _bases_of(instances: list[Instance], *releases: ReleaseView | None) -> dict[UUID, str]:
    """Return what each instance is but for its size. Those that are to be restarted are not among them."""
    processes = (process for release in releases if release for process in release.processes)
    known = {(process.type, process.template): process.base for process in processes}
    found = {one.id: known.get((one.process_type, one.template), "") for one in instances}
    others = [one for one in instances if not found[one.id] and not one.template.startswith(STALE)]
    if others:
        wanted = Release.objects.filter(id__in={one.release_id for one in others})
        wanted = wanted.select_related("slug").defer("config_encrypted")
        by_id = {release.id: release for release in wanted}
        found |= {one.id: base(by_id[one.release_id], one.process_type) for one in others}
    return found


def _instance(one: Instance, host_lost: bool, base: str) -> InstanceView:
    info = exit_info(one.last_exit)
    return InstanceView(
        id=one.id,
        type=one.process_type,
        number=one.number,
        template=one.template,
        host=one.host_id,
        wanted=Wanted(one.wanted),
        wanted_since=one.wanted_since.timestamp(),
        up=one.state == InstanceState.UP,
        gone=one.state == InstanceState.STOPPED or host_lost,
        restarts=one.restarts,
        failure=describe_exit(info) if info else "",
        failure_id=ERROR_IDS.get(info.reason, "app_crashed") if info else "",
        drained=one.drained or one.state not in SERVING,
        base=base,
        memory_bytes=one.memory_bytes,
        refused=bool(one.resize_problem),
        volumes=written_volumes(one.release, one.process_type),
    )


def _silent(seen_at: datetime | None, now: datetime, limit: timedelta) -> bool:
    return seen_at is None or now - seen_at > limit


def _loads(app_id: UUID) -> dict[UUID, tuple[int, int]]:
    """Return, per host, the memory promised to instances (their limits) and how many of them are the app's."""
    wanted = Instance.objects.exclude(wanted=Instance.Wanted.STOP).order_by()
    sums = wanted.values("host_id").annotate(
        promised=Sum("memory_bytes"), mine=Count("id", filter=Q(app_id=app_id))
    )
    return {row["host_id"]: (row["promised"], row["mine"]) for row in sums}


def _host(host: Host, now: datetime, promised: int, instances_of_app: int) -> HostView:
    return HostView(
        id=host.id,
        ready=not host.cordoned and not _silent(host.seen_at, now, HOST_QUIET),
        lost=_silent(host.seen_at, now, HOST_LOST),
        free_bytes=host.memory_bytes - int(promised / OVERCOMMIT),
        instances_of_app=instances_of_app,
        offers=offers(host),
    )


STALE = (
    "stale:"  # a template that no release has: the planner starts a replacement, then retires the instance
)
OVERCOMMIT = 2.0  # limits may add up to this many times a host's memory, as idle processes use a fraction
