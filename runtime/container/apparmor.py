"""The AppArmor profile of all containers of one platform, where the kernel has AppArmor.

In: the platform's tag.  Out: a profile in the kernel, and its name for config.json; '' where there is none.
It says again, by paths and kinds, what the sandbox says by namespaces, capabilities and system calls: should
one of these fail, this one still holds. Never in complain mode.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
from pathlib import Path

from runtime.container.port import EngineError

log = logging.getLogger(__name__)
ENABLED = Path("/sys/module/apparmor/parameters/enabled")
PARSER = "apparmor_parser"
_TAKES = 60.0  # seconds

_PROFILE = """\
abi <abi/3.0>,
include <tunables/global>

profile {name} flags=(attach_disconnected, mediate_deleted) {{
  include <abstractions/base>

  # Reaching out; raw packets, other families and sockets of the kernel are not for an app.
  network inet stream,
  network inet dgram,
  network inet6 stream,
  network inet6 dgram,
  network unix,
  network netlink raw,
  deny network raw,
  deny network packet,

  # Images that need root in their own user namespace keep these; the bundle says which are given at all.
  capability audit_write,
  capability chown,
  capability dac_override,
  capability fowner,
  capability fsetid,
  capability kill,
  capability net_bind_service,
  capability setfcap,
  capability setgid,
  capability setpcap,
  capability setuid,
  capability sys_chroot,

  file,
  deny mount,
  deny umount,
  deny pivot_root,

  signal (receive) peer=unconfined,
  signal (send, receive) peer={name},
  deny ptrace (trace, tracedby),
  ptrace (read, readby) peer={name},
  unix peer=(label={name}),

  deny @{{PROC}}/sys/** wklx,
  deny @{{PROC}}/sysrq-trigger rwklx,
  deny @{{PROC}}/kcore rwklx,
  deny @{{PROC}}/kallsyms rwklx,
  deny @{{PROC}}/mem rwklx,
  deny @{{PROC}}/kmem rwklx,
  deny @{{PROC}}/acpi/** rwklx,
  deny @{{PROC}}/*/attr/** wklx,
  deny /sys/** wklx,
  deny /sys/firmware/** rwklx,
  deny /sys/kernel/security/** rwklx,
  deny /sys/kernel/debug/** rwklx,
  deny /dev/mem rwklx,
  deny /dev/kmem rwklx,
  deny /dev/kmsg rwklx,
  deny /dev/[sv]d* rwklx,
  deny /dev/nvme* rwklx,
  deny /dev/loop* rwklx,
}}
"""


def name_of(tag: str) -> str:
    return f"paas-{tag}"


def render(tag: str) -> str:
    """Return the profile's text. Pure."""
    return _PROFILE.format(name=name_of(tag))


def is_enabled(parameter: Path = ENABLED) -> bool:
    """Tell whether this kernel enforces AppArmor. Where it does not, a profile in config.json fails every start."""
    try:
        return parameter.read_text().strip() == "Y"
    except OSError:
        return False


def load(tag: str) -> str:
    """Put the profile into the kernel, replacing an older one; return its name, '' where it cannot be.

    Raises EngineError when the kernel refuses the profile: containers are not run with less than was asked for.
    """
    if not is_enabled():
        return ""
    if shutil.which(PARSER) is None:
        log.warning(
            "AppArmor is on, but containers run without a profile of their own: apt install apparmor."
        )
        return ""
    _parse("--replace", text=render(tag))
    return name_of(tag)


def unload(tag: str) -> None:
    """Take the profile out of the kernel. Nothing when it is not there."""
    if is_enabled() and shutil.which(PARSER):
        try:
            _parse("--remove", text=render(tag))
        except EngineError as error:
            log.info("%s", error)


def _parse(action: str, text: str) -> None:
    try:
        done = subprocess.run(
            [PARSER, action, "--quiet", "--skip-cache"],
            input=text,
            capture_output=True,
            text=True,
            timeout=_TAKES,
            check=False,
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise EngineError(f"{PARSER} could not be run: {error}.") from error
    if done.returncode != 0:
        raise EngineError(f"The AppArmor profile was refused: {' '.join(done.stderr.split())[:300]}")
