"""Makes the two root trees of a Debian stack. Runs on the host, as root.

In: a definition and an empty folder.  Out: the run image and the build layer (only what differs), as squashfs files.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from . import java_keystore
from .squash import BuiltImage, ImageError, pack
from .stack_definitions import StackDefinition

Progress = Callable[[str], None]
MIRROR = "PAAS_DEBIAN_MIRROR"
# Packages' manuals stay out, their licences stay in.
DPKG_OPTIONS = (
    "path-exclude=/usr/share/man/*",
    "path-exclude=/usr/share/info/*",
    "path-exclude=/usr/share/locale/*",
    "path-exclude=/usr/share/doc/*",
    "path-include=/usr/share/doc/*/copyright",
    "force-unsafe-io",
)
NOT_PACKED = (
    "dev/*",
    "proc/*",
    "sys/*",
    "tmp/*",
    "run/*",
    "var/cache/apt/*",
    "var/lib/apt/lists/*",
    "var/log/*",
)
UPPER_NOT_PACKED = (
    *NOT_PACKED,
    "etc/machine-id",
    "etc/resolv.conf",
    "var/cache/ldconfig/*",
    "var/cache/debconf/*-old",
    "var/lib/dpkg/*-old",
    "etc/*-",
)
CHANGED = "19000"  # the day, since 1970, of every password's last change

# Mounts and processes of an installation, in namespaces of their own: they end with it, and it with who asked for it.
ALONE = (
    *("setpriv", "--pdeathsig", "KILL", "--"),
    *("unshare", "--mount", "--propagation", "private", "--pid", "--fork", "--kill-child=KILL"),
)

INSTALL = """\
set -e
mount -t overlay overlay -o "lowerdir=$1/root,upperdir=$1/upper,workdir=$1/work,redirect_dir=off,metacopy=off,index=off" "$1/merged"
mount --bind "$1/lists" "$1/merged/var/lib/apt/lists"
mount --bind "$1/archives" "$1/merged/var/cache/apt"
mount -t tmpfs tmpfs "$1/merged/tmp"
mount -t proc proc "$1/merged/proc"
cp /etc/resolv.conf "$1/merged/etc/resolv.conf"
mkdir -p "$1/archives/archives/partial"
root=$1
shift
exec chroot "$root/merged" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \\
  ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} \\
  apt-get -y -q --no-install-recommends -o APT::Sandbox::User=root install "$@"
"""  # noqa: E501


def make_run_root(definition: StackDefinition, folder: Path, mirror: str, progress: Progress) -> Path:
    """mmdebstrap the run root in `folder/root`; apt's lists are moved to `folder/lists` for the build layer."""
    root = folder / "root"
    argv = ["mmdebstrap", "--mode=root", "--variant=minbase", "--skip=cleanup/apt/lists"]
    argv += ['--aptopt=Acquire::Languages "none"', *(f"--dpkgopt={option}" for option in DPKG_OPTIONS)]
    argv += [f"--include={','.join(definition.run_packages)}", definition.suite, str(root)]
    run([*argv, mirror] if mirror else argv, progress, "mmdebstrap")
    shutil.move(root / "var/lib/apt/lists", folder / "lists")
    (root / "var/lib/apt/lists").mkdir()
    finish_root(root, definition.name)
    return root


def finish_root(root: Path, name: str) -> None:
    """What Debian leaves to the administrator: the app's user, places to mount on, no identity of its own."""
    append(root / "etc/passwd", "app:x:1000:1000:app:/app:/bin/bash\n")
    append(root / "etc/group", "app:x:1000:\n")
    append(root / "etc/shadow", f"app:*:{CHANGED}:0:99999:7:::\n")
    undate_accounts(root)
    append(root / "etc/gshadow", "app:!::\n")
    (root / "etc/paas-stack").write_text(f"{name}\n")
    for file in ("etc/machine-id", "etc/resolv.conf", "source.tar"):
        (root / file).unlink(missing_ok=True)
        (root / file).touch(mode=0o644)
    (root / "etc/hostname").unlink(missing_ok=True)
    for folder in ("app", "cache"):
        (root / folder).mkdir(exist_ok=True)
        os.chown(root / folder, 1000, 1000)
    for leftover in (
        *root.glob("var/lib/dpkg/*-old"),
        *root.glob("etc/*-"),
        *root.glob("var/cache/debconf/*-old"),
    ):
        leftover.unlink()
    (root / "var/cache/ldconfig/aux-cache").unlink(missing_ok=True)
    shutil.rmtree(root / "var/lib/dbus", ignore_errors=True)


def append(file: Path, line: str) -> None:
    with file.open("a") as opened:
        opened.write(line)


def undate_accounts(root: Path) -> None:
    """Accounts that packages made today are those that they made yesterday: equal packages give equal images."""
    file = root / "etc/shadow"
    if file.is_file() and not file.is_symlink():
        file.write_text(undated(file.read_text()))


def undated(shadow: str) -> str:
    """Return shadow(5) with one day for all passwords' last change."""
    lines = (line.split(":") for line in shadow.splitlines())
    return "".join(f"{':'.join([*one[:2], CHANGED, *one[3:]] if len(one) > 3 else one)}\n" for one in lines)


def install_build_layer(definition: StackDefinition, folder: Path, progress: Progress) -> Path:
    """Install the build packages over the run root; returns the folder that holds the difference."""
    for name in ("upper", "work", "merged", "archives"):
        (folder / name).mkdir()
    script = [*ALONE, "sh", "-c", INSTALL, "sh", str(folder)]
    run([*script, *definition.build_packages], progress, "installing the build packages")
    upper = folder / "upper"
    finish_upper(upper)
    return upper


def finish_upper(upper: Path) -> None:
    """Leave of an installation what belongs into its layer, the same on every day."""
    drop_whiteouts(upper)
    undate_accounts(upper)
    keystore = upper / java_keystore.PLACE
    if keystore.is_file() and not keystore.is_symlink():
        keystore.write_bytes(java_keystore.undated(keystore.read_bytes()))


def drop_whiteouts(upper: Path) -> None:
    """Remove overlayfs' marks for deleted files: a file of the run image may as well show through."""
    for directory, _, names in os.walk(upper):
        for name in names:
            path = Path(directory, name)
            if path.is_char_device():
                path.unlink()


def make_images(
    definition: StackDefinition, folder: Path, progress: Progress
) -> tuple[BuiltImage, BuiltImage, Path]:
    """Make both images in `folder`. Packing the run root overlaps with installing the build packages."""
    mirror = os.environ.get(MIRROR, "")
    progress(f"{definition.name}: fetching Debian {definition.suite}" + (f" from {mirror}" if mirror else ""))
    root = make_run_root(definition, folder, mirror, progress)
    progress(f"{definition.name}: packing the run image, installing compilers and headers")
    with ThreadPoolExecutor(max_workers=1) as pool:
        packing = pool.submit(pack, root, folder / "run.squashfs", exclude=NOT_PACKED)
        upper = install_build_layer(definition, folder, progress)
        run_image = packing.result()
    progress(f"{definition.name}: packing the build layer")
    return run_image, pack(upper, folder / "build.squashfs", exclude=UPPER_NOT_PACKED), root


def run(argv: Sequence[str], progress: Progress, what: str, env: Mapping[str, str] | None = None) -> None:
    """Run a tool; every few dozen lines of its output become one progress line, its last ones the error."""
    lines: list[str] = []
    try:
        process = subprocess.Popen(
            list(argv), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace", env=env
        )
    except FileNotFoundError as error:
        raise ImageError(f"{argv[0]} is missing: install the package of that name.") from error
    with process:
        for line in process.stdout or ():
            lines = [*lines[-40:], line.rstrip()]
            shown = milestone(line)
            if shown:
                progress(f"  {shown}")
    if process.returncode != 0:
        reason = "\n".join(line for line in lines if line)[-2000:]
        raise ImageError(f"{what} failed (exit code {process.returncode}):\n{reason}")


def milestone(line: str) -> str:
    """The lines of mmdebstrap and apt that tell how far they are."""
    text = line.strip()
    if text.startswith("I: "):
        return text.removeprefix("I: ")
    return text if text.startswith(("Need to get", "Fetched")) or " newly installed" in text else ""
