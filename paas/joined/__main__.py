"""`script/join` after the packages: makes this machine a host of a platform, or brings it up to date.

In: the controller's URL and a token, or nothing on a machine that has joined.  Out: a running agent; an exit status.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import sys
from dataclasses import replace
from pathlib import Path

from paas.joined import foreground, membership, units
from paas.joined.enrol import NotJoined, Wish, enrol
from paas.joined.membership import Membership
from paas.supervisor.layout import LONGEST_HOME, Layout, source_version
from runtime import signing
from runtime.enrolment import RENEW_PATH, JoinToken
from runtime.tls import CONTROLLER, client_context

HOME = "/var/lib/paas"


def main() -> int:
    options = _arguments().parse_args()
    layout = Layout(Path(os.environ.get("PAAS_HOME") or HOME))
    try:
        _check(layout)
        layout.make_folders()
        member = _become_member(layout, options)
        return _run(layout, member, options)
    except (NotJoined, TimeoutError) as error:
        print(
            error or "The agent that runs here did not leave in time; stop it and try again.", file=sys.stderr
        )
        return 1


def _arguments() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="script/join",
        description="Make this machine a host of a platform. `paas hosts:token` prints URL and TOKEN. On one that "
        "has joined: restart what runs there with this checkout; its containers go on.",
    )
    parser.add_argument("url", nargs="?", metavar="URL", help="the controller, such as https://10.0.0.1:5444")
    parser.add_argument("token", nargs="?", metavar="TOKEN")
    parser.add_argument("--name", default="", help="what the host is called (its host name)")
    parser.add_argument("--address", default="", help="where the controller and other hosts reach this one")
    parser.add_argument("--port", type=int, default=5010, help="of the agent (5010)")
    parser.add_argument(
        "--subnet", default="", help="addresses of its containers (the controller gives some)"
    )
    parser.add_argument("--router", action="store_true", help="also be a router")
    parser.add_argument("--router-port", type=int, default=5020, help="of the router's control (5020)")
    parser.add_argument("--router-bind", default="0.0.0.0:8080", help="where apps are served (0.0.0.0:8080)")
    parser.add_argument("--foreground", action="store_true", help="stay until Ctrl-C, without systemd")
    return parser


def _check(layout: Layout) -> None:
    if os.geteuid() != 0:
        raise NotJoined("A host makes containers and needs root. Run: sudo script/join …")
    if len(str(layout.home)) > LONGEST_HOME or not layout.home.is_absolute():
        raise NotJoined(
            f"PAAS_HOME={layout.home} must be an absolute path of at most {LONGEST_HOME} characters."
        )
    if (layout.home / "secrets.json").exists():
        raise NotJoined(
            f"{layout.home} is the data folder of a platform of its own; set PAAS_HOME to another one."
        )


def _become_member(layout: Layout, options: argparse.Namespace) -> Membership:
    """Return the membership, joining if there is none, or if its certificate has come to its end."""
    known = membership.read(layout)
    version = source_version()
    if known is not None and options.url and known.controller != options.url.rstrip("/"):
        raise NotJoined(
            f"This machine is {known.name} of {known.controller}. To move it: `paas hosts:drain` and `hosts:remove` "
            f"there, stop the agent here, and remove {layout.home}."
        )
    if known is None or (options.token and not _is_good(layout, known)):
        settings = known.settings if known else ()
        known = replace(enrol(layout, _wish(options, version)), settings=settings)
        print(f"Joined {known.controller} as {known.name}; its containers get {known.subnet}.", flush=True)
    given = {
        name: value for name, value in os.environ.items() if name.startswith(("PAAS_AGENT_", "PAAS_ROUTER_"))
    }
    member = membership.with_settings(replace(known, version=version), given)
    membership.write(layout, member)
    return member


def _is_good(layout: Layout, known: Membership) -> bool:
    """Tell whether the certificate lasts, and the controller, if it answers, still knows the host."""
    files = membership.credentials(layout, "agent")
    if signing.is_over(files):
        return False
    try:
        signing.ask(known.controller, "GET", RENEW_PATH, b"", client_context(files, CONTROLLER))
    except signing.ControllerRefused as error:
        return error.status not in (401, 403)
    except OSError:
        return False
    return True


def _wish(options: argparse.Namespace, version: str) -> Wish:
    if not options.url or not options.token:
        raise NotJoined(
            "This machine has not joined a platform. Run the command that `paas hosts:token` prints."
        )
    if not options.url.startswith("https://"):
        raise NotJoined(f"{options.url} is no https:// URL; run the command that `paas hosts:token` prints.")
    try:
        token = JoinToken.parse(options.token)
    except ValueError as error:
        raise NotJoined(str(error)) from error
    return Wish(
        controller=options.url.rstrip("/"),
        token=token,
        name=options.name or socket.gethostname()[:63],
        address=options.address,
        port=options.port,
        subnet=options.subnet,
        version=version,
        router=options.router,
        router_port=options.router_port,
        router_bind=options.router_bind,
    )


def _run(layout: Layout, member: Membership, options: argparse.Namespace) -> int:
    if options.foreground:
        with foreground.alone(layout):
            return asyncio.run(_stay(layout, member))
    if not units.RUNNING.is_dir():
        raise NotJoined("systemd does not run on this machine; give --foreground to stay in the foreground.")
    changed = units.write(layout, member)
    if not changed:
        print(f"{member.name} is up to date; nothing was changed.")
        return 0
    units.restart(changed)
    print(
        f"{member.name} is a host of {member.controller}: {', '.join(changed)} restarted. Its containers go on."
    )
    return 0


async def _stay(layout: Layout, member: Membership) -> int:
    return await foreground.Foreground(layout, member, lambda text: print(text, flush=True)).run()


if __name__ == "__main__":
    sys.exit(main())
