"""This host: what it should run, what it runs, and the steps from one to the other.

In: wanted states and jobs.  Out: supervisors, and one whole `HostReport`. Lives on the event loop.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from signal import SIGKILL

import msgspec

from runtime.agent.controller import Controller
from runtime.agent.diff import ENDING, Actions, diff
from runtime.agent.instance import Context, Instance
from runtime.agent.job import Job, new_record
from runtime.agent.local import Local, changed, limited, whole, with_limits
from runtime.agent.shipper import Shipper
from runtime.agent.store import InstanceRecord, Store
from runtime.container.port import EngineError, Observed
from runtime.model import (
    Capacity,
    ContainerSpec,
    HostNetwork,
    HostReport,
    InstanceSpec,
    InstanceState,
    JobSpec,
    JobStatus,
    LimitsChange,
    Member,
    Offer,
    Rootfs,
    WantedState,
)
from runtime.network.names import resolve
from runtime.network.reach import effective_egress

log = logging.getLogger(__name__)
KEEP_JOB_SECONDS = 3600.0
STOP_SECONDS = 6.0  # with the removal afterwards it stays under 10 s, the supervisor's patience
LOOK_SECONDS = 5.0
SWEEP_SECONDS = 600.0


class OlderGeneration(Exception):
    """A wanted state older than the one in force."""


class Host:
    """Owns the supervisors. One bad instance or job never stops the others."""

    def __init__(
        self, host_id: str, context: Context, controller: Controller, store: Store, shipper: Shipper
    ) -> None:
        self._id = host_id
        self._context = context
        self._controller = controller
        self._store = store
        self._shipper = shipper
        self._applying = asyncio.Lock()
        self._stopping: set[asyncio.Task[None]] = set()
        self._sequence = 0
        self._closing = False
        self._swept_at = 0.0
        self._capacity = capacity()
        self._network = HostNetwork()
        self._offer = Offer()
        self.version = ""  # of the software, as its operator calls it
        self.rewired = asyncio.Event()  # the wanted state has changed, and with it perhaps the network
        self.wanted = WantedState(generation=0)
        self.local = Local()
        self.instances: dict[str, Instance] = {}
        self.jobs: dict[str, Job] = {}

    async def recover(self) -> None:
        """Pick up what an earlier agent left: running containers, unfinished jobs, the wanted state."""
        self.wanted, self.local = self._store.load_wanted(), self._store.load_local()
        wanted = {spec.container.id: spec for spec in self.running.instances}
        for record in self._store.load_instances():
            self._recall(record, wanted.get(record.status.id))
        for job_record in self._store.load_jobs():
            self._supervise_job(Job(job_record, self._context, self._controller, self._store))
        await self._converge()
        looking = [
            asyncio.ensure_future(one.looked.wait()) for one in self.instances.values() if one.supervised
        ]
        if looking:  # the first report must not call something up that has ended
            await asyncio.wait(looking, timeout=LOOK_SECONDS)

    def _recall(self, record: InstanceRecord, spec: InstanceSpec | None) -> None:
        """Wanted: go on from its last state. Not wanted: go on ending it, or keep saying that it is gone."""
        state = record.status.state
        if spec and state not in ENDING:
            self._supervise(Instance(spec, self._context, record))
        elif spec is None and state in ENDING:
            instance = self._specless(record.status.id, record.owner, record.name, record)
            if state is InstanceState.STOPPED:
                self._context.logs.end(instance.spec.container.id)
            else:
                self._stop(instance)

    async def apply_wanted(self, wanted: WantedState) -> None:
        """Store it, then act on it. Raises `OlderGeneration`; the same generation again changes nothing."""
        async with self._applying:
            if wanted.generation < self.wanted.generation:
                raise OlderGeneration(
                    f"Generation {wanted.generation} is older than {self.wanted.generation}, which is in force."
                )
            if wanted.generation > self.wanted.generation:
                await asyncio.to_thread(self._store.save_wanted, wanted)
                self.wanted = wanted
                await self._confine()
                self.rewired.set()
                await self._converge()

    async def _confine(self) -> None:
        """First of all: what starts now must not be freer than wanted. `Joining` tries again what fails."""
        try:
            egress = effective_egress(self.wanted.egress, self.wanted.networks)
            await self._context.calls.confine(egress, self.wanted.build_egress)
        except EngineError as error:
            log.error("egress rules could not be changed, trying again: %s", error)

    @property
    def running(self) -> WantedState:
        """All that must run here, whoever asked for it."""
        return whole(self.wanted, self.local)

    def held_spec(self, id_: str) -> InstanceSpec | None:
        """The spec of an instance that is stopped by hand."""
        every = (*self.wanted.instances, *self.local.instances) if id_ in self.local.held else ()
        return next((spec for spec in every if spec.container.id == id_), None)

    def _asked_for(self, id_: str) -> bool:
        return any(one.container.id == id_ for one in (*self.wanted.instances, *self.local.instances))

    async def put_local(self, spec: InstanceSpec) -> None:
        """Run an instance that no controller asks for, from now on."""
        await self._change_local(lambda local: local.having(spec))

    async def remove_local(self, id_: str) -> bool:
        """Stop it and forget it. False when it was not started by hand."""
        if id_ not in self.local.ids():
            return False
        await self._change_local(lambda local: local.without(id_))
        return True

    async def hold(self, id_: str, *, held: bool) -> bool:
        """Stop an instance and keep it stopped, or start it again. False when nobody asks for it."""
        if not self._asked_for(id_):
            return False
        await self._change_local(lambda local: local.holding(id_, held=held))
        return True

    def restart(self, id_: str) -> bool:
        """Stop an instance; as it is asked for, it starts anew. False when it does not run."""
        instance = self.instances.get(id_)
        if instance is None or not self._asked_for(id_) or instance.status.state in ENDING:
            return False
        self._stop(instance)
        return True

    async def change_limits(self, id_: str, change: LimitsChange) -> bool:
        """Change limits by hand, for this run and the next ones. False when nobody asks for this instance."""
        async with self._applying:
            spec = next((one for one in self.running.instances if one.container.id == id_), None)
            if spec is None:
                return False
            limits = changed(spec.container.limits, change)
            wanted = with_limits(self.wanted, id_, limits)
            await asyncio.to_thread(self._store.save_wanted, wanted)
            self.wanted = wanted
            if id_ in self.local.ids():
                self._save_local(self.local.having(limited(spec, limits)))
            instance = self.instances.get(id_)
            if instance is not None and instance.supervised:
                await instance.take_over(limited(spec, limits))
            return True

    async def _change_local(self, change: Callable[[Local], Local]) -> None:
        async with self._applying:
            self._save_local(change(self.local))
            await self._converge()

    def _save_local(self, local: Local) -> None:
        self._store.save_local(local)
        self.local = local

    async def look_again(self) -> None:
        """Compare with what exists, and stop what nobody asked for."""
        async with self._applying:
            await self._converge()

    async def _converge(self) -> None:
        if self._closing:
            return
        supervised = frozenset(self.instances)
        containers = await self._containers()
        for id_ in supervised - self.instances.keys():  # ended and acknowledged while the list was made
            containers.pop(id_, None)
        states = {id_: instance.status.state for id_, instance in self.instances.items()}
        known = {id_: instance.spec for id_, instance in self.instances.items() if instance.supervised}
        wanted = self.running
        self._perform(diff(wanted, states, tuple(containers), tuple(self.jobs), known), containers)

    def _perform(self, actions: Actions, containers: dict[str, Observed]) -> None:
        for spec in actions.start:
            self._supervise(Instance(spec, self._context))
        for spec in actions.change:
            self.instances[spec.container.id].take_over_soon(spec)
        for id_ in actions.stop:
            self._stop(self.instances[id_])
        for id_ in actions.orphans:
            found = containers[id_]
            self._stop(self._specless(found.id, found.owner, found.name))
        self._context.changed()

    def _supervise(self, instance: Instance) -> None:
        self.instances[instance.spec.container.id] = instance
        instance.start()

    def _specless(self, id_: str, owner: str, name: str, record: InstanceRecord | None = None) -> Instance:
        """A supervisor for something whose spec is not known any more: good enough to stop and to report it."""
        spec = ContainerSpec(id=id_, owner=owner, name=name, rootfs=Rootfs(), argv=())
        instance = Instance(InstanceSpec(container=spec), self._context, record)
        self.instances[id_] = instance
        self._context.logs.open(spec)
        return instance

    def _stop(self, instance: Instance, grace: float | None = None) -> None:
        if instance.stop_asked:  # its state shows that only when its supervision has ended
            return
        instance.stop_asked = True
        task = asyncio.create_task(self._stop_fully(instance, grace))
        self._stopping.add(task)
        task.add_done_callback(self._stopping.discard)

    async def _stop_fully(self, instance: Instance, grace: float | None) -> None:
        await instance.stop(self.wanted.generation, grace)
        wanted_again = instance.spec.container.id in {spec.container.id for spec in self.running.instances}
        if wanted_again:
            await self._converge()

    async def _containers(self) -> dict[str, Observed]:
        try:
            return {found.id: found for found in await self._context.calls.list()}
        except Exception as error:  # orphans are found at the next change
            log.error("the containers of this host cannot be listed: %s", error)
            return {}

    async def put_job(self, spec: JobSpec) -> tuple[JobStatus, bool]:
        """Take on a job unless it is known. Returns its status and whether it is new."""
        known = self.jobs.get(spec.container.id)
        if known:
            return known.status, False
        record = new_record(spec)
        job = Job(record, self._context, self._controller, self._store)
        self.jobs[spec.container.id] = job
        try:
            await asyncio.to_thread(self._store.save_job, record, sync=True)
        except OSError:
            del self.jobs[spec.container.id]
            raise
        self._supervise_job(job)
        return job.status, True

    def _supervise_job(self, job: Job) -> None:
        self.jobs[job.spec.container.id] = job
        job.start()
        self._context.changed()

    def forget_job(self, id_: str) -> None:
        """Drop an ended job and, once shipped, its output."""
        job = self.jobs.pop(id_)
        job.remove_files()
        self._forget_output(id_)
        self._context.changed()

    def forget_old(self, now: float) -> None:
        """Drop jobs that ended long ago, and output that belongs to nobody."""
        for id_, job in tuple(self.jobs.items()):
            if job.ended.is_set() and now - job.status.since > KEEP_JOB_SECONDS:
                self.forget_job(id_)
        if now - self._swept_at > SWEEP_SECONDS:
            self._swept_at = now
            self._context.logs.sweep(now)
            self._context.ended.forget_old(now, frozenset(self.instances) | frozenset(self.jobs))

    def report(self) -> HostReport:
        """Everything, as it is now, but for the jobs' results. The sequence grows over restarts too."""
        self._sequence = max(self._sequence + 1, int(time.time() * 1000))
        return HostReport(
            host=self._id,
            sequence=self._sequence,
            generation=self.wanted.generation,
            capacity=self._capacity,
            network=self._network,
            offer=self._offer,
            version=self.version,
            instances=tuple(instance.status for instance in self.instances.values()),
            jobs=tuple(msgspec.structs.replace(job.status, result="") for job in self.jobs.values()),
        )

    def look_up(self, owner: str, name: str) -> list[str] | None:
        """Return the addresses of healthy instances behind a name, here and on other hosts, as of now. One that is
        about to be stopped is left out before its state says so, which takes a second."""
        wanted = self.wanted
        asked_for = {spec.container.id for spec in self.running.instances} - set(wanted.leaving)
        here = (
            Member(
                owner=instance.spec.container.owner,
                address=instance.status.address,
                name=instance.spec.container.name,
                up=instance.status.state is InstanceState.UP and id_ in asked_for,
            )
            for id_, instance in self.instances.items()
        )
        return resolve(name, owner, wanted.apps, (*here, *wanted.members), wanted.networks)

    def tell_network(self, network: HostNetwork) -> None:
        """Take note of what peers must know of this host."""
        if network != self._network:
            self._network = network
            self._context.changed()

    def tell_offer(self, offer: Offer) -> None:
        """Take note of what apps can choose on this host."""
        if offer != self._offer:
            self._offer = offer
            self._context.changed()

    def save(self) -> None:
        """Store how the instances are, for the next agent."""
        self._store.save_instances(tuple(instance.record for instance in self.instances.values()))

    def acknowledge(self, report: HostReport) -> None:
        """The controller has this report: forget what it showed as stopped under a newer wanted state."""
        for id_ in acknowledged(report, (instance.record for instance in self.instances.values())):
            del self.instances[id_]
            self._forget_output(id_)

    def _forget_output(self, id_: str) -> None:
        source = self._context.logs.sources.get(id_)
        if source and source.shipped and self._controller.exists:
            self._shipper.forget_when_shipped(id_)
        else:
            self._context.logs.forget(id_)

    async def leave(self) -> None:
        """End all supervision; containers go on."""
        for task in self._stopping:
            task.cancel()
        everything: list[Instance | Job] = [*self.instances.values(), *self.jobs.values()]
        await asyncio.gather(*(one.leave() for one in everything))
        self.save()

    async def stop_all(self, seconds: float = STOP_SECONDS) -> None:
        """Stop every instance and job, each with its grace but at most `seconds`."""
        self._closing = True
        for instance in self.instances.values():
            if instance.status.state not in ENDING:
                self._stop(instance, min(instance.spec.container.grace_seconds, seconds))
        jobs = [job for job in self.jobs.values() if not job.ended.is_set()]
        for job in jobs:
            job.cancel(seconds)
        ends = [*self._stopping, *(asyncio.create_task(job.ended.wait()) for job in jobs)]
        if ends:
            _, late = await asyncio.wait(ends, timeout=seconds + 0.5)
            for found in (await self._containers()).values() if late else ():
                await self._context.calls.kill(found.id, SIGKILL)
            await asyncio.wait(ends, timeout=2.0)


def acknowledged(report: HostReport, records: Iterable[InstanceRecord]) -> list[str]:
    """Ids that may be forgotten once `report` has arrived: shown as STOPPED, by a newer wanted state. Pure."""
    shown = {status.id for status in report.instances if status.state is InstanceState.STOPPED}
    return [
        record.status.id
        for record in records
        if record.status.id in shown
        and record.status.state is InstanceState.STOPPED
        and report.generation > (record.stopped_at_generation or 0)
    ]


def capacity() -> Capacity:
    """Memory and processors of this machine."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory.max"):
        path = Path(limit)
        text = path.read_text().strip() if path.exists() else ""
        memory = min(memory, int(text)) if text.isdigit() else memory
    return Capacity(memory_bytes=memory, cpus=len(os.sched_getaffinity(0)))
