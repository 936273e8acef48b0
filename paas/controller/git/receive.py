"""A push, from its first command to its report.

In: a `Push` (who, which app, the request's body).  Out: a generator of response bytes: build output as sideband 2,
then report-status.  Stock dulwich sets refs without looking whether it worked, checks no connectivity, leaks rejected
packs and cannot build before it accepts; of its handler only the report code is used.
"""

from __future__ import annotations

import logging
from collections.abc import Generator, Iterator, Sequence

from django.db import connections
from dulwich.errors import GitProtocolError
from dulwich.objects import ObjectID, valid_hexsha
from dulwich.protocol import ReceivableProtocol, extract_capabilities
from dulwich.refs import Ref
from dulwich.server import ReceivePackHandler

from paas.controller.git import locks, wire
from paas.controller.git.accept import accept
from paas.controller.git.allocator import give_memory_back
from paas.controller.git.body import BodyBroken
from paas.controller.git.deploy import Lines, build, cancel
from paas.controller.git.ingest import Ingested, ingest
from paas.controller.git.limits import size
from paas.controller.git.objects import COMMIT, PackRefused, References
from paas.controller.git.packstore import PackStore, open_store
from paas.controller.git.policy import Command, Verdict, judge
from paas.controller.git.port import GitRefused
from paas.controller.git.push import ClientGone, Push
from paas.controller.git.quarantine import Quarantine, open_quarantine
from paas.controller.git.repositories import pack_folder, stored_bytes
from paas.controller.git.wire import KEEPALIVE, clean_line, remote_line
from paas.errors import storage_full

logger = logging.getLogger(__name__)

CAPABILITIES = (
    b"report-status",
    b"delete-refs",
    b"quiet",
    b"atomic",
    b"ofs-delta",
    b"side-band-64k",
    b"push-options",
)
_INTERNAL = "the server had an internal error and changed nothing; push again"
_MISSING_SHALLOW = (
    "missing necessary objects: this app was first pushed from a shallow clone and older history is not here; "
    "push a newer commit instead (git revert)"
)


class PaasReceive(ReceivePackHandler):
    """The server's side of one `git push`."""

    def __init__(self, push: Push) -> None:
        self._out = bytearray()
        proto = ReceivableProtocol(push.body.recv, self._out.extend, rbufsize=1 << 16)
        super().__init__(wire.single(push.git), ["/"], proto, stateless_rpc=True)
        self._recv = proto.recv
        self._push = push
        self._shallow: set[bytes] = set()
        self._unpack = "ok"
        self._statuses: dict[Ref, str] = {}
        self._client_capabilities = set()

    def run(self) -> Iterator[bytes]:
        """Yield the response. Nothing is yielded before the body is read. Closing the generator cancels the build."""
        commands: list[Command] = []
        try:
            yield from self._guarded(commands)
            if commands:
                self._finish_body()
                self._report(commands)
                yield bytes(self._out)
        except ClientGone:
            logger.info("push to %s: the client went away, the push is cancelled", self._push.app.name)
        finally:
            self._push.git.close()
            connections.close_all()
            give_memory_back()

    def _guarded(self, commands: list[Command]) -> Iterator[bytes]:
        """Do the push; whatever goes wrong becomes a status that the client shows."""
        taken = False
        try:
            self._read_commands(commands)
            if not commands:
                return
            taken = self._push.slots.acquire(blocking=False)
            if not taken:
                raise GitRefused("too many pushes are running on this server; push again in a minute")
            yield from self._locked(commands)
        except PackRefused as error:
            self._unpack = str(error)
            self._refuse(commands, "unpacker error")
        except BodyBroken as error:
            self._unpack = str(error)
            self._refuse(commands, "unpacker error")
            self._push.body.refuse_more()
        except GitRefused as error:
            self._refuse(commands, str(error))
        except (ClientGone, GeneratorExit):
            raise
        except Exception as error:
            logger.exception("push to %s failed", self._push.app.name)
            full = storage_full(error)
            self._refuse(commands, full.message if full else _INTERNAL)
        finally:
            if taken:
                self._push.slots.release()

    def _read_commands(self, commands: list[Command]) -> None:
        """Read shallow lines, ref commands and push options. A lone flush is git's probe: no commands."""
        try:
            while line := self.proto.read_pkt_line():
                self._read_command(line.rstrip(b"\n"), commands)
            if commands and self.has_capability(b"push-options"):
                while self.proto.read_pkt_line():
                    pass
        except (GitProtocolError, ValueError) as error:
            raise PackRefused(f"the request is malformed: {error}") from error

    def _read_command(self, line: bytes, commands: list[Command]) -> None:
        if line.startswith(b"shallow "):
            self._shallow.add(bytes.fromhex(line[8:48].decode("ascii")))
            return
        if not commands:
            line, capabilities = extract_capabilities(line)
            self._client_capabilities = set(capabilities)
        old, new, ref = line.split(b" ", 2)
        if not (len(old) == len(new) == 40 and valid_hexsha(old) and valid_hexsha(new)):
            raise PackRefused("the request is malformed: a ref command without object ids")
        commands.append(Command(ObjectID(old.lower()), ObjectID(new.lower()), Ref(ref)))
        if len(commands) > self._push.limits.max_commands:
            raise GitRefused(
                f"a push may change at most {self._push.limits.max_commands} refs; push them in parts"
            )

    def _locked(self, commands: list[Command]) -> Iterator[bytes]:
        app = self._push.app
        if app.suspended:
            raise GitRefused(app.suspended)
        with locks.hold(app.path), open_quarantine(app.path) as quarantine:
            refs = self._push.git.get_refs()
            verdict = judge(
                commands, refs, app.deploy_branches, self._push.limits, atomic=self.has_capability(b"atomic")
            )
            self._statuses |= verdict.faults
            if not verdict.accepted:
                return
            references = References(frozenset(self._shallow))
            received = Ingested(None, 0)
            if not all(command.is_delete for command in commands):
                received = self._ingest(quarantine, references)
            with open_store(quarantine.folder, quarantine.packs, pack_folder(app.path)) as store:
                references.check_closed(store.kind)
                verdict = verdict.refuse(
                    self._tip_faults(verdict, store), atomic=self.has_capability(b"atomic")
                )
            self._statuses |= verdict.faults
            yield from self._decide(verdict, quarantine, received, references)

    def _ingest(self, quarantine: Quarantine, references: References) -> Ingested:
        app, limits = self._push.app, self._push.limits
        with open_store(quarantine.folder, pack_folder(app.path)) as store:
            received = ingest(self._recv, quarantine.packs, limits, references, store.get)
        stored = stored_bytes(app.path)
        if received.pack is not None and stored + received.pack.stat().st_size > limits.quota:
            raise GitRefused(
                f"the repository of {app.name} would grow beyond {size(limits.quota)}; keep big files out of git, "
                "or ask the administrator to raise PAAS_GIT_QUOTA"
            )
        return received

    def _tip_faults(self, verdict: Verdict, store: PackStore) -> dict[Ref, str]:
        """A ref must point to something that is here; a branch to a commit."""
        faults = {}
        for command in verdict.accepted:
            kind = None if command.is_delete else store.kind(bytes.fromhex(command.new.decode()))
            if kind is None and not command.is_delete:
                faults[command.ref] = (
                    _MISSING_SHALLOW if self._push.git.get_shallow() else "missing necessary objects"
                )
            elif command.branch and not command.is_delete and kind != COMMIT:
                faults[command.ref] = "a branch must point to a commit"
        return faults

    def _decide(
        self, verdict: Verdict, quarantine: Quarantine, received: Ingested, references: References
    ) -> Iterator[bytes]:
        """Build if the deploy branch moves; then, and only then, keep the objects and move the refs."""
        build_id, accepted = "", False
        if verdict.deploy is not None:
            try:
                build_id = yield from self._stream(build(self._push, verdict.deploy, quarantine))
            except GitRefused as error:
                self._refuse_all(verdict, str(error))
                return
        try:
            statuses = accept(self._push, verdict, quarantine, received, references.cut, build_id)
            accepted = verdict.deploy is None or statuses[verdict.deploy.ref] == "ok"
        finally:
            if build_id and not accepted:
                cancel(self._push, build_id)
        self._statuses |= statuses
        for text in self._notes(verdict):
            yield from self._line(text)

    def _stream(self, lines: Lines) -> Generator[bytes, None, str]:
        """Pass a build's lines on as sideband 2, and its id at the end."""
        try:
            while True:
                yield from self._line(next(lines))
        except StopIteration as end:
            return str(end.value)
        finally:
            lines.close()

    def _notes(self, verdict: Verdict) -> Iterator[str]:
        """Say what was stored without being deployed."""
        deploys = self._push.app.deploy_branches
        for command in verdict.accepted:
            if self._statuses[command.ref] != "ok" or command.is_delete or command.branch in deploys:
                continue
            if command.branch:
                yield f"Pushed to branch {command.branch}: stored, not deployed. Push to {deploys[0]} to deploy."
            elif verdict.deploy is None:
                name = command.ref.removeprefix(b"refs/tags/").decode(errors="replace")
                yield f"Pushed {name}: stored, not deployed. Push to {deploys[0]} to deploy."

    def _line(self, text: str | None) -> Iterator[bytes]:
        if self.has_capability(b"side-band-64k"):
            yield KEEPALIVE if text is None else remote_line(text)

    def _refuse(self, commands: Sequence[Command], text: str) -> None:
        """Give every command that has no fault of its own this one."""
        for command in commands:
            if self._statuses.get(command.ref, "ok") == "ok":
                self._statuses[command.ref] = text

    def _refuse_all(self, verdict: Verdict, text: str) -> None:
        """The deploy failed: its refs say why, the others that they depended on it."""
        for command in verdict.accepted:
            deploys = verdict.deploy is not None and command.new == verdict.deploy.new and command.branch
            self._statuses[command.ref] = (
                text if deploys else "not stored: the deploy in the same push failed"
            )

    def _finish_body(self) -> None:
        """Read what the client still sends (up to a bound), else it never hears the answer."""
        try:
            drained = self._push.body.drain(self._push.limits.max_drain)
        except BodyBroken:
            drained = False
        if not drained:
            self._push.body.refuse_more()

    def _report(self, commands: Sequence[Command]) -> None:
        if not self.has_capability(b"report-status"):
            return
        report = [(b"unpack", clean_line(self._unpack).encode())]
        report += [(command.ref, clean_line(self._statuses[command.ref]).encode()) for command in commands]
        self._report_status(report)
