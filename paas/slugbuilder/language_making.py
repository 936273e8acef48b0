"""Makes the layers of a language on a Debian stack. Runs on the host, as root.

In: a language and the images of a stack.  Out: what running and what building needs beyond them, as squashfs files,
made once and kept. All mounts live in a mount namespace of their own: whatever happens to it, none is left.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from .language_definitions import Language
from .squash import BuiltImage, ImageError, pack
from .stack_making import ALONE, UPPER_NOT_PACKED, finish_upper, run
from .stacks import locked, place

Progress = Callable[[str], None]

# $1 work folder, $2 upper folder, $3 the images, topmost first, in one word; then what apt-get installs.
INSTALL = """\
set -e
work=$1; upper=$2; images=$3; shift 3
mkdir -p "$work/merged" "$work/overlay" "$upper" "$work/lists" "$work/archives/archives/partial"
lower=; number=0
for image in $images; do
  number=$((number + 1)); mkdir -p "$work/image$number"
  mount -t squashfs -o loop,ro "$image" "$work/image$number"
  lower=$lower${lower:+:}$work/image$number
done
mount -t overlay overlay -o "lowerdir=$lower,upperdir=$upper,workdir=$work/overlay,redirect_dir=off,metacopy=off,index=off" "$work/merged"
mount --bind "$work/lists" "$work/merged/var/lib/apt/lists"
mount --bind "$work/archives" "$work/merged/var/cache/apt"
mount -t tmpfs tmpfs "$work/merged/tmp"
mount -t proc proc "$work/merged/proc"
mount -t tmpfs -o mode=755 tmpfs "$work/merged/dev"
for node in null zero full random urandom tty; do touch "$work/merged/dev/$node"; mount --bind "/dev/$node" "$work/merged/dev/$node"; done
ln -s /proc/self/fd "$work/merged/dev/fd"
mount -t tmpfs tmpfs "$work/merged/run"
touch "$work/resolv.conf"; cat /etc/resolv.conf > "$work/resolv.conf"
mount --bind "$work/resolv.conf" "$work/merged/etc/resolv.conf"
inside() {
  chroot "$work/merged" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp DEBIAN_FRONTEND=noninteractive LC_ALL=C.UTF-8 \\
    ${http_proxy:+http_proxy="$http_proxy"} ${https_proxy:+https_proxy="$https_proxy"} "$@"
}
printf '#!/bin/sh\\nexit 101\\n' > "$work/policy"; chmod 755 "$work/policy"
# services of the packages are not started: nothing runs here but apt-get
mkdir -p "$work/merged/usr/sbin"; [ -e "$work/merged/usr/sbin/policy-rc.d" ] || cp "$work/policy" "$work/merged/usr/sbin/policy-rc.d"
# Java's packages link a manual, and stacks have no folder for any
mkdir -p "$work/merged/usr/share/man/man1"
[ -n "$(ls "$work/lists")" ] || inside apt-get -q -o APT::Sandbox::User=root -o Acquire::Languages=none update
inside apt-get -y -q --no-install-recommends -o APT::Sandbox::User=root install "$@"
rm -f "$work/merged/usr/sbin/policy-rc.d"
[ -z "${ASK_VERSION:-}" ] || inside sh -c "$ASK_VERSION" > "$work/version"
"""  # noqa: E501


@dataclass(frozen=True)
class LanguageImages:
    """`run` lies on the run image (None: running needs nothing), `build` on the build layer and the run image.

    `version` is what the language calls itself.
    """

    run: BuiltImage | None
    build: BuiltImage
    version: str


def base_of(language: Language, digests: Sequence[str]) -> str:
    """Return the fingerprint of what a language's layers were made of."""
    return hashlib.sha256("\0".join((language.fingerprint, *digests)).encode()).hexdigest()


def make_language(
    language: Language, run_image: BuiltImage, build_image: BuiltImage, folder: Path, progress: Progress
) -> LanguageImages:
    """Return the language's layers on these images; make them when `folder` does not have them (a minute or a few).

    Safe to repeat and to run twice at once; what a killed run left is removed. Raises ImageError.
    """
    folder.mkdir(parents=True, exist_ok=True)
    base = base_of(language, (run_image.digest, build_image.digest))
    with locked(folder / "lock"):
        return read_language(folder, base) or _made(language, run_image, build_image, folder, base, progress)


def read_language(folder: Path, base: str) -> LanguageImages | None:
    """The layers as noted, None when they are absent, incomplete or of other images."""
    try:
        note = json.loads((folder / "language.json").read_text())
        images = {
            kind: BuiltImage(folder / one["file"], one["digest"], one["size"])
            for kind, one in note["images"].items()
        }
        whole = all(image.path.stat().st_size == image.size for image in images.values())
        if note["base"] != base or not whole:
            return None
        return LanguageImages(images.get("run"), images["build"], note["version"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None


def _made(
    language: Language,
    run_image: BuiltImage,
    build_image: BuiltImage,
    folder: Path,
    base: str,
    progress: Progress,
) -> LanguageImages:
    making = folder / "making"
    shutil.rmtree(making, ignore_errors=True)
    making.mkdir(mode=0o755)
    try:
        version = f"{' '.join(language.version)} 2>/dev/null || true"
        _install(making, "build", (build_image, run_image), language.build_packages, progress, version)
        made = {"build": pack(making / "build", making / "build.squashfs", exclude=UPPER_NOT_PACKED)}
        if language.run_packages:
            _install(making, "run", (run_image,), language.run_packages, progress)
            made["run"] = pack(making / "run", making / "run.squashfs", exclude=UPPER_NOT_PACKED)
        said = (making / "version").read_text().strip()
        placed = {kind: place(image, folder, kind) for kind, image in made.items()}
    except OSError as error:
        raise ImageError(f"{language.label} could not be added to the stack: {error}.") from error
    finally:
        shutil.rmtree(making, ignore_errors=True)
    images = LanguageImages(placed.get("run"), placed["build"], said)
    _note(folder, base, placed, said)
    return images


def _install(
    making: Path,
    kind: str,
    images: Sequence[BuiltImage],
    packages: Sequence[str],
    progress: Progress,
    ask_version: str = "",
) -> None:
    upper = making / kind
    script = [*ALONE, "sh", "-c", INSTALL, "sh"]
    script += [str(making), str(upper), " ".join(str(image.path) for image in images)]
    asked = ["env", f"ASK_VERSION={ask_version}"] if ask_version else []
    run([*asked, *script, *packages], progress, f"installing {' '.join(packages)}")
    finish_upper(upper)
    shutil.rmtree(making / "overlay", ignore_errors=True)


def _note(folder: Path, base: str, images: dict[str, BuiltImage], version: str) -> None:
    note = {
        "base": base,
        "version": version,
        "images": {
            kind: {"file": image.path.name, "digest": image.digest, "size": image.size}
            for kind, image in images.items()
        },
    }
    half = folder / "language.json.half"
    half.write_text(json.dumps(note, indent=1) + "\n")
    half.replace(folder / "language.json")
