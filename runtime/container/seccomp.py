"""The system calls a tenant may make, as a filter the kernel takes as is.

In: the lists below, or an operator's profile.  Out: BPF (for crun's annotation) and the same filter in the words of
the OCI runtime spec.
The list is containers-common's seccomp.json resolved for a process without capabilities, less what such a process
can still do harm with: new namespaces, mounts and the fs* calls, keyrings, tracing, io_uring, unusual sockets.
What is known and refused answers EPERM, as with any unprivileged process; what is not listed at all answers ENOSYS,
which programs take as "old kernel". crun 1.8 compiles a profile at each start (30 ms); precompiled it costs nothing.
"""

from __future__ import annotations

import base64
import contextlib
import errno
import functools
import platform
import socket
import tempfile
from typing import Any

from runtime.container.syscall_rules import KILL, Comparison, Profile, Rule

_CLONE_NEW_NAMESPACES = 0x7E020000

_NAMES = """
    accept accept4 access alarm arch_prctl bind brk capget capset chdir chmod chown clock_getres clock_gettime
    clock_nanosleep close close_range connect copy_file_range creat dup dup2 dup3 epoll_create epoll_create1
    epoll_ctl epoll_ctl_old epoll_pwait epoll_pwait2 epoll_wait epoll_wait_old eventfd eventfd2 execve execveat exit
    exit_group faccessat faccessat2 fadvise64 fallocate fchdir fchmod fchmodat fchmodat2 fchown fchownat fcntl
    fdatasync fgetxattr flistxattr flock fork fremovexattr fsetxattr fstat fstatfs fsync ftruncate futex futex_waitv
    futimesat get_mempolicy get_robust_list get_thread_area getcpu getcwd getdents getdents64 getegid geteuid getgid
    getgroups getitimer getpeername getpgid getpgrp getpid getppid getpriority getrandom getresgid getresuid getrlimit
    getrusage getsid getsockname getsockopt gettid gettimeofday getuid getxattr inotify_add_watch inotify_init
    inotify_init1 inotify_rm_watch io_cancel io_destroy io_getevents io_setup io_submit ioctl ioprio_get ioprio_set
    kill landlock_add_rule landlock_create_ruleset landlock_restrict_self lchown lgetxattr link linkat listen listxattr
    llistxattr lremovexattr lseek lsetxattr lstat madvise mbind membarrier memfd_create mincore mkdir mkdirat mknod
    mknodat mlock mlock2 mlockall mmap mprotect mq_getsetattr mq_notify mq_open mq_timedreceive mq_timedsend mq_unlink
    mremap mseal msgctl msgget msgrcv msgsnd msync munlock munlockall munmap nanosleep newfstatat open openat openat2
    pause pidfd_open pidfd_send_signal pipe pipe2 pkey_alloc pkey_free pkey_mprotect poll ppoll prctl pread64 preadv
    preadv2 prlimit64 pselect6 pwrite64 pwritev pwritev2 read readahead readlink readlinkat readv recvfrom recvmmsg
    recvmsg remap_file_pages removexattr rename renameat renameat2 restart_syscall rmdir rseq rt_sigaction
    rt_sigpending rt_sigprocmask rt_sigqueueinfo rt_sigreturn rt_sigsuspend rt_sigtimedwait rt_tgsigqueueinfo
    sched_get_priority_max sched_get_priority_min sched_getaffinity sched_getattr sched_getparam sched_getscheduler
    sched_rr_get_interval sched_setaffinity sched_setattr sched_setparam sched_setscheduler sched_yield seccomp select
    semctl semget semop semtimedop sendfile sendmmsg sendmsg sendto set_mempolicy set_robust_list set_thread_area
    set_tid_address setfsgid setfsuid setgid setgroups setitimer setpgid setpriority setregid setresgid setresuid
    setreuid setrlimit setsid setsockopt setuid setxattr shmat shmctl shmdt shmget shutdown sigaltstack signalfd
    signalfd4 socketpair splice stat statfs statx symlink symlinkat sync sync_file_range syncfs sysinfo tee tgkill time
    timer_create timer_delete timer_getoverrun timer_gettime timer_settime timerfd_create timerfd_gettime
    timerfd_settime times tkill truncate umask uname unlink unlinkat utime utimensat utimes vfork wait4 waitid write
    writev
"""
ALLOWED: tuple[str, ...] = tuple(_NAMES.split())
_REFUSED_NAMES = """
    acct add_key adjtimex bpf chroot clock_adjtime clock_settime delete_module fanotify_init fsconfig fsmount fsopen
    fspick finit_module init_module ioperm iopl io_uring_enter io_uring_register io_uring_setup kcmp kexec_file_load
    kexec_load keyctl lookup_dcookie modify_ldt mount mount_setattr move_mount move_pages name_to_handle_at nfsservctl
    open_by_handle_at open_tree perf_event_open pidfd_getfd pivot_root process_madvise process_vm_readv
    process_vm_writev ptrace quotactl quotactl_fd reboot request_key setdomainname sethostname setns settimeofday
    swapoff swapon syslog umount umount2 unshare userfaultfd vhangup vm86 vm86old
"""
REFUSED: tuple[str, ...] = tuple(_REFUSED_NAMES.split())
_FAMILIES = (socket.AF_UNIX, socket.AF_INET, socket.AF_INET6)
_PERSONALITIES = (0x0, 0x0008, 0x20000, 0x20008, 0xFFFFFFFF)


def _when(name: str, *arguments: tuple[int, int, int, str]) -> Rule:
    args = (Comparison(index=i, value=one, value_two=two, op=op) for i, one, two, op in arguments)
    return Rule(name=name, args=tuple(args))


def _builtin() -> Profile:
    rules = [Rule(name=name) for name in ALLOWED]
    rules.append(_when("clone", (0, _CLONE_NEW_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ")))
    rules += [_when("socket", (0, int(family), 0, "SCMP_CMP_EQ")) for family in _FAMILIES]
    route = ((0, int(socket.AF_NETLINK), 0, "SCMP_CMP_EQ"), (2, 0, 0, "SCMP_CMP_EQ"))
    rules.append(_when("socket", *route))
    rules += [_when("personality", (0, value, 0, "SCMP_CMP_EQ")) for value in _PERSONALITIES]
    rules += [Rule(name=name, errno=errno.EPERM) for name in REFUSED]
    return Profile(rules=tuple(rules), default_errno=errno.ENOSYS)


BUILTIN = _builtin()

# What making an image takes beyond what an app may: namespaces of one's own, and mounts within them. The kernel still
# asks for the capability, which a container has only in a user namespace that it made itself, below its own.
_OF_IMAGE_BUILDS = (
    "chroot",
    "clone",
    "mount",
    "pivot_root",
    "setdomainname",
    "sethostname",
    "umount2",
    "unshare",
)


def _image_builds() -> Profile:
    kept = (rule for rule in BUILTIN.rules if rule.name not in _OF_IMAGE_BUILDS)
    return Profile(
        rules=(*kept, *(Rule(name=name) for name in _OF_IMAGE_BUILDS)), default_errno=BUILTIN.default_errno
    )


IMAGE_BUILDS = _image_builds()


@functools.lru_cache(maxsize=64)
def compile_bpf(profile: Profile = BUILTIN) -> str:
    """Return the filter for this machine's architecture as base64 of BPF instructions."""
    import pyseccomp as sc

    program = sc.SyscallFilter(_action(profile.default_errno))
    with contextlib.suppress(OSError, ValueError):  # a tree instead of a list; libseccomp before 2.5 has none
        program.set_attr(sc.Attr.CTL_OPTIMIZE, 2)
    for rule in profile.effective:
        if _known(rule.name):
            program.add_rule(_action(rule.errno), rule.name, *(_argument(one) for one in rule.args))
    with tempfile.TemporaryFile() as file:
        program.export_bpf(file)
        file.seek(0)
        return base64.b64encode(file.read()).decode()


def _action(number: int) -> int:
    import pyseccomp as sc

    action: int = sc.ALLOW if number == 0 else sc.KILL_PROCESS if number == KILL else sc.ERRNO(number)
    return action


def _argument(one: Comparison) -> Any:
    import pyseccomp as sc

    return sc.Arg(one.index, getattr(sc, one.op.removeprefix("SCMP_CMP_")), one.value, one.value_two)


@functools.cache
def _known(name: str) -> bool:
    """Tell whether libseccomp knows a call and this architecture has it: those of others have negative numbers."""
    import pyseccomp as sc

    try:
        return int(sc.resolve_syscall(sc.Arch.NATIVE, name)) >= 0
    except (OSError, ValueError):
        return False


@functools.lru_cache(maxsize=64)
def describe(profile: Profile = BUILTIN) -> dict[str, Any]:
    """Return `linux.seccomp` of config.json: what runtimes other than crun read. Shared: it is not to be changed."""
    plain: dict[int, list[str]] = {}
    for rule in profile.effective:
        if not rule.args:
            plain.setdefault(rule.errno, []).append(rule.name)
    rules = [{"names": names} | _verdict(number) for number, names in plain.items()]
    rules += [
        {"names": [rule.name]} | _verdict(rule.errno) | {"args": [_shown(one) for one in rule.args]}
        for rule in profile.effective
        if rule.args
    ]
    default = _verdict(profile.default_errno)
    document: dict[str, Any] = {"defaultAction": default["action"]}
    if "errnoRet" in default:
        document["defaultErrnoRet"] = default["errnoRet"]
    return document | {"architectures": [f"SCMP_ARCH_{platform.machine().upper()}"], "syscalls": rules}


def _verdict(number: int) -> dict[str, Any]:
    if number == 0:
        return {"action": "SCMP_ACT_ALLOW"}
    return (
        {"action": "SCMP_ACT_KILL_PROCESS"}
        if number == KILL
        else {"action": "SCMP_ACT_ERRNO", "errnoRet": number}
    )


def _shown(one: Comparison) -> dict[str, Any]:
    return {"index": one.index, "value": one.value, "valueTwo": one.value_two, "op": one.op}
