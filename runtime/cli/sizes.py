"""Sizes and limits as they are typed and shown.

In: `512MiB`, `0.5`.  Out: bytes, numbers; and back. Pure.
"""

from __future__ import annotations

import argparse

from runtime.config import parse_bytes
from runtime.model import Limits, LimitsChange


def size(text: str) -> int:
    """For argparse: bytes, or a number with K, M, G, KiB, MiB, GiB."""
    try:
        return parse_bytes(text if text[-1:].isdigit() or text[-1:] == "B" else f"{text}iB")
    except ValueError as error:
        raise argparse.ArgumentTypeError(str(error)) from error


def show(number: float) -> str:
    for unit in ("B", "KiB", "MiB", "GiB"):
        if number < 1024 or unit == "GiB":
            return f"{number:.0f} {unit}" if unit == "B" else f"{number:.1f} {unit}"
        number /= 1024
    raise AssertionError("unreachable")


def add_limits(parser: argparse.ArgumentParser) -> None:
    """The flags of limits that can change while a container runs."""
    parser.add_argument("--memory", type=size, metavar="SIZE", help="memory, for example 256MiB")
    parser.add_argument("--cpus", type=float, metavar="N", help="CPU quota in processors; 0: none")
    parser.add_argument("--cpu-shares", type=int, metavar="N", help="weight against neighbours (1024)")
    parser.add_argument("--pids", type=int, metavar="N", help="processes and threads")


def read_change(arguments: argparse.Namespace) -> LimitsChange:
    return LimitsChange(
        memory_bytes=arguments.memory,
        cpu_shares=arguments.cpu_shares,
        cpu_cores=arguments.cpus,
        pids=arguments.pids,
    )


def limits_words(limits: Limits) -> str:
    cores = "no quota" if limits.cpu_cores is None else f"{limits.cpu_cores:g} processors"
    return f"memory {show(limits.memory_bytes)}, {cores}, shares {limits.cpu_shares}, {limits.pids} processes"
