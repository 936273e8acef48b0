"""The filter: what it lets pass, in BPF and in the words of the runtime spec."""

from __future__ import annotations

import base64
import errno
import struct

import pytest

from runtime.container.seccomp import ALLOWED, REFUSED, compile_bpf, describe

pytestmark = pytest.mark.unit

DANGEROUS = {
    "unshare", "setns", "mount", "umount2", "pivot_root", "chroot", "fsopen", "fsmount", "fsconfig", "open_tree",
    "move_mount", "mount_setattr", "keyctl", "add_key", "request_key", "ptrace", "process_vm_readv",
    "process_vm_writev",
    "pidfd_getfd", "kcmp", "bpf", "perf_event_open", "userfaultfd", "io_uring_setup", "modify_ldt", "syslog", "reboot",
    "clone3", "open_by_handle_at", "init_module", "swapon", "settimeofday", "iopl", "socket", "clone", "personality",
}  # fmt: skip


def test_no_dangerous_call_is_allowed_without_condition() -> None:
    assert not DANGEROUS & set(ALLOWED)
    assert len(set(ALLOWED)) == len(ALLOWED)
    assert not set(ALLOWED) & set(REFUSED)


def test_the_filter_is_a_program_for_this_machine() -> None:
    program = base64.b64decode(compile_bpf())
    assert len(program) % 8 == 0
    assert 100 < len(program) // 8 < 4096  # the kernel's limit
    first = struct.unpack("=HBBI", program[:8])
    assert first == (0x20, 0, 0, 4)  # loads the architecture first


def test_both_forms_have_the_same_conditions() -> None:
    allowed, refused, *conditional = describe()["syscalls"]
    names = [rule["names"][0] for rule in conditional]
    assert names == ["clone", "socket", "socket", "socket", "socket"] + ["personality"] * 5
    assert all(rule["args"] for rule in conditional)
    assert (allowed["action"], refused["action"]) == ("SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO")
    assert refused["errnoRet"] == errno.EPERM
    assert {"mount", "keyctl", "ptrace", "unshare", "bpf"} <= set(refused["names"])
