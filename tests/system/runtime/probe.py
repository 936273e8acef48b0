"""What a hostile tenant would try, run inside a container: prints as JSON what the kernel let it do."""

import ctypes
import errno
import json
import os
import resource
import socket

libc = ctypes.CDLL(None, use_errno=True)

# name: number (x86_64), arguments that would succeed or fail otherwise than with ENOSYS/EPERM were the call allowed
CALLS = {
    "unshare_user": (272, 0x10000000),
    "unshare_mount": (272, 0x00020000),
    "clone_newuser": (56, 0x10000000 | 17, 0, 0, 0, 0),
    "clone3": (435, 0, 0),
    "setns": (308, 0, 0),
    "mount": (165, b"none", b"/tmp", b"tmpfs", 0, 0),
    "umount2": (166, b"/tmp", 2),
    "pivot_root": (155, b"/", b"/"),
    "chroot": (161, b"/tmp"),
    "fsopen": (430, b"tmpfs", 0),
    "open_tree": (428, -100, b"/", 1),
    "move_mount": (429, -100, b"/", -100, b"/tmp", 0),
    "mount_setattr": (442, -100, b"/", 0, 0, 0),
    "keyctl": (250, 0, -1, 0, 0, 0),
    "add_key": (248, b"user", b"x", b"y", 1, -1),
    "request_key": (249, b"user", b"x", 0, -1),
    "ptrace": (101, 0, 0, 0, 0),
    "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
    "pidfd_getfd": (438, 0, 0, 0),
    "kcmp": (312, 1, 1, 0, 0, 0),
    "bpf": (321, 0, 0, 0),
    "perf_event_open": (298, 0, 0, -1, -1, 0),
    "userfaultfd": (323, 0),
    "io_uring_setup": (425, 1, 0),
    "modify_ldt": (154, 0, 0, 0),
    "syslog": (103, 3, 0, 0),
    "reboot": (169, 0, 0, 0, 0),
    "kexec_load": (246, 0, 0, 0, 0),
    "init_module": (175, 0, 0, b""),
    "finit_module": (313, -1, b"", 0),
    "swapon": (167, b"/tmp/x", 0),
    "settimeofday": (164, 0, 0),
    "clock_settime": (227, 0, 0),
    "sethostname": (170, b"x", 1),
    "iopl": (172, 3),
    "open_by_handle_at": (304, -1, 0, 0),
    "name_to_handle_at": (303, -100, b"/", 0, 0, 0),
    "quotactl": (179, 0, 0, 0, 0),
    "acct": (163, 0),
    "fanotify_init": (300, 0, 0),
    "memfd_secret": (447, 0),
    "personality_odd": (135, 0x0040000),
}
FAMILIES = {
    "unix": (1, 1, 0),
    "inet": (2, 1, 0),
    "inet6": (10, 1, 0),
    "raw": (2, 3, 1),
    "packet": (17, 3, 0),
    "netlink_route": (16, 3, 0),
    "netlink_netfilter": (16, 3, 12),
    "netlink_audit": (16, 3, 9),
    "vsock": (40, 1, 0),
    "alg": (38, 5, 0),
    "bluetooth": (31, 3, 0),
    "tipc": (30, 2, 0),
    "can": (29, 3, 1),
    "xdp": (44, 3, 0),
}
WRITES = (
    "/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sysrq-trigger",
    "/proc/sys/vm/overcommit_memory",
    "/proc/sys/net/ipv4/ip_forward", "/proc/irq/default_smp_affinity", "/sys/kernel/uevent_helper",
    "/sys/fs/cgroup/release_agent", "/sys/fs/cgroup/memory/release_agent", "/sys/kernel/mm/ksm/run", "/sys/power/state",
    "/proc/1/oom_score_adj", "/usr/x", "/etc/x", "/etc/passwd", "/x", "/bin/sh", "/dev/init", "/root/x", "/sys/x",
)  # fmt: skip
READS = (
    "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kallsyms", "/proc/config.gz", "/proc/timer_list",
    "/proc/interrupts", "/proc/sched_debug", "/proc/kmsg", "/dev/kmsg", "/dev/mem", "/dev/vda", "/dev/sda",
    "/dev/loop0",
    "/dev/loop-control", "/dev/kvm", "/dev/fuse", "/dev/net/tun", "/proc/1/environ", "/etc/shadow", "/root/.ssh",
    "/sys/kernel/debug", "/sys/firmware/efi", "/proc/1/root/etc/shadow",
)  # fmt: skip


MASKED = (
    "/proc/acpi", "/proc/asound", "/proc/config.gz", "/proc/interrupts", "/proc/kallsyms", "/proc/kcore",
    "/proc/key-users", "/proc/keys", "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
    "/proc/timer_stats", "/sys/dev/block", "/sys/devices/virtual/powercap", "/sys/firmware", "/sys/fs/selinux",
)  # fmt: skip
READONLY = ("/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger", "/sys", "/usr")
LIMITS = ("nofile", "core", "nproc", "stack", "memlock")


def shows_something(path):
    """A masked file is empty, a masked directory has no entry; one that the kernel has not cannot show anything."""
    try:
        if os.path.isdir(path):
            return bool(os.listdir(path))
        with open(path, "rb") as file:
            return bool(file.read(1))
    except OSError:
        return False


def is_writable_mount(path):
    return os.path.exists(path) and not os.statvfs(path).f_flag & os.ST_RDONLY


def attempt_call(number, *arguments):
    ctypes.set_errno(0)
    values = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    result = libc.syscall(ctypes.c_long(number), *values)
    if result == 0 and number == 56:
        os._exit(0)
    return "allowed" if result >= 0 else errno.errorcode.get(ctypes.get_errno(), "?")


def attempt_socket(family, kind, protocol):
    try:
        socket.socket(family, kind, protocol).close()
        return True
    except OSError:
        return False


def attempt_open(path, flags):
    try:
        fd = os.open(path, flags)
    except OSError:
        return False
    try:
        return bool(os.read(fd, 1)) if flags == os.O_RDONLY else True
    except OSError:
        return False
    finally:
        os.close(fd)


def attempt_node(kind, major, minor):
    path = f"/tmp/node-{major}-{minor}"
    try:
        os.mknod(path, 0o666 | kind, os.makedev(major, minor))
        return attempt_open(path, os.O_RDWR)
    except OSError:
        return False


def status(name):
    with open("/proc/self/status") as file:
        return next(line.split()[1] for line in file if line.startswith(name + ":"))


def words_of(path):
    with open(path) as file:
        return file.read().split()


def writable_directories():
    """Directories this user may write to, on every file system but /proc."""
    found = []
    for path, names, _ in os.walk("/"):
        names[:] = [name for name in names if not os.path.islink(os.path.join(path, name))]
        if path == "/":
            names.remove("proc")
        if os.access(path, os.W_OK):
            found.append(path)
            names[:] = []
    return sorted(found)


def suid_files_that_work():
    with open("/proc/self/mountinfo") as file:
        lines = [line.split() for line in file]
    masks = ("/proc/", "/sys/")
    return [line[4] for line in lines if "nosuid" not in line[5] and not line[4].startswith(masks)]


print(
    json.dumps(
        {
            "calls": {name: attempt_call(*call) for name, call in CALLS.items()},
            "sockets": sorted(name for name, made in FAMILIES.items() if attempt_socket(*made)),
            "writes": [path for path in WRITES if attempt_open(path, os.O_WRONLY | os.O_CREAT)],
            "reads": [path for path in READS if attempt_open(path, os.O_RDONLY)],
            "nodes": [
                node for node in ((0o60000, 254, 0), (0o20000, 1, 1), (0o20000, 1, 11)) if attempt_node(*node)
            ],
            "capabilities": [status(name) for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")],
            "no_new_privs": status("NoNewPrivs"),
            "seccomp": status("Seccomp"),
            "uid_map": words_of("/proc/self/uid_map"),
            "fds": sorted(
                int(name) for name in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{name}")
            ),
            "pids": sorted(int(name) for name in os.listdir("/proc") if name.isdigit()),
            "interfaces": [name for _, name in socket.if_nameindex()],
            "sys_interfaces": sorted(os.listdir("/sys/class/net")),
            "cgroups": os.listdir("/sys/fs/cgroup"),
            "writable": writable_directories(),
            "not_nosuid": suid_files_that_work(),
            "unmasked": [path for path in MASKED if shows_something(path)],
            "not_readonly": [path for path in READONLY if is_writable_mount(path)],
            "root_readonly": bool(os.statvfs("/").f_flag & os.ST_RDONLY),
            "rlimits": {
                name: list(resource.getrlimit(getattr(resource, f"RLIMIT_{name.upper()}"))) for name in LIMITS
            },
            "secrets": [name for name in os.environ if name.startswith(("_OCI", "LISTEN_", "NOTIFY_"))],
        }
    )
)
