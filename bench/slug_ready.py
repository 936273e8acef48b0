#!/usr/bin/env python3
"""A slug of 10,000 files on a host: mounted by us, beside unpacking the same files with `tar -xzf`, in turns.

In: root, 400 MB in /tmp.  Out: p50 and p95 until the files can be read, and the ratio.
"Ready" is from a file in the host's store to a mount in which every file can be opened, and one has been read; of tar
it is until tar has ended. Both files are in the page cache, as the host has just received them.

    .venv/bin/python bench/slug_ready.py [--rounds 10] [--files 10000]
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from container_start import milliseconds, opened, verdict

from runtime.images import squashfs
from runtime.images.store import digest_of
from runtime.model import ImageRef

WANTED_MS = 60.0
AVERAGE_BYTES = 11_600  # 116 MB in 10,000 files, like a Node.js app


def make_files(root: Path, files: int) -> None:
    """Half of each file can be compressed, as code can."""
    generator = random.Random(1)
    for number in range(files):
        folder = root / "app" / f"d{number % 200}"
        folder.mkdir(parents=True, exist_ok=True)
        size = generator.randrange(AVERAGE_BYTES)
        (folder / f"f{number}").write_bytes(
            generator.randbytes(size) + b"module.exports = 1;\n" * (size // 20)
        )


def mount(bench: object, image: ImageRef, number: int) -> float:
    """Mount, read one file, unmount; the seconds until it could be read."""
    images, run = bench.engine._parts.images, bench.engine._mounts.call  # type: ignore[attr-defined]

    def ready() -> float:
        begun = time.perf_counter()
        place = images.mount(image)
        (place / "app" / f"d{number % 200}" / f"f{number}").read_bytes()
        spent = time.perf_counter() - begun
        images.unmount_all()
        return spent

    seconds: float = run(ready)
    return seconds


def unpack(archive: Path, target: Path) -> float:
    target.mkdir()
    begun = time.perf_counter()
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(target)], check=True)
    spent = time.perf_counter() - begun
    shutil.rmtree(target)
    return spent


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--files", type=int, default=10_000)
    arguments = parser.parse_args()
    if os.geteuid() != 0:
        parser.error("mounting needs root")
    work = Path(tempfile.mkdtemp(prefix="q", dir="/tmp"))
    print(f"load before: {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    try:
        source, archive, packed = work / "source", work / "slug.tar.gz", work / "slug.squashfs"
        make_files(source, arguments.files)
        subprocess.run(["tar", "-czf", str(archive), "-C", str(source), "."], check=True)
        squashfs.pack(source, packed)
        shutil.rmtree(source)
        digest, size = digest_of(packed)
        image = ImageRef(digest=digest, size=size)
        print(
            f"{arguments.files} files: squashfs {size / 1e6:.0f} MB, tar.gz {archive.stat().st_size / 1e6:.0f} MB"
        )
        ours, tar = [], []
        with opened(0) as bench:
            bench.engine.add_image(image, packed)
            for number in range(arguments.rounds):
                ours.append(mount(bench, image, number))
                tar.append(unpack(archive, work / "unpacked"))
        print(f"  {'mounted, first file read':26} {milliseconds(ours)}")
        print(f"  {'tar -xzf':26} {milliseconds(tar)}")
        verdict("ready, ms", statistics.median(ours) * 1000, WANTED_MS, at_most=True)
        print(f"tar -xzf / ours: {statistics.median(tar) / statistics.median(ours):.0f}")
    finally:
        shutil.rmtree(work, ignore_errors=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
