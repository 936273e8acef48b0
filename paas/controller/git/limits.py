"""What one push may cost. In: the `PAAS_GIT_*` settings.  Out: one frozen value with a default for each of them."""

from __future__ import annotations

from dataclasses import dataclass, fields

from django.conf import settings

MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Limits:
    """Sizes in bytes, times in seconds. Each field is overridden by the setting `PAAS_GIT_` + its name in capitals."""

    max_pack: int = 512 * MIB
    max_object: int = 256 * MIB
    max_inflated: int = 4096 * MIB
    max_objects: int = 500_000
    max_delta_depth: int = 4096
    max_commands: int = 1000
    max_ref_bytes: int = 255
    max_ref_components: int = 20
    max_source_files: int = 100_000
    max_source_bytes: int = 1024 * MIB
    max_drain: int = 512 * MIB
    max_packs: int = 50
    quota: int = 2048 * MIB
    body_timeout: float = 60
    upload_timeout: float = 1800
    index_timeout: float = 300
    build_silence: float = 3660
    keepalive: float = 2.5
    max_pushes: int = 12
    max_clones: int = 2
    clone_wait: float = 30


def from_settings() -> Limits:
    """Return the limits of this process."""
    names = [field.name for field in fields(Limits)]
    found = {name: getattr(settings, f"PAAS_GIT_{name.upper()}", None) for name in names}
    return Limits(**{name: value for name, value in found.items() if value is not None})


def size(number: int) -> str:
    """Return `number` bytes in words for a message: 512 MB, 900 KB, 12 bytes."""
    for unit, name in ((1 << 30, "GB"), (MIB, "MB"), (1 << 10, "KB")):
        if number >= unit:
            return f"{number / unit:.1f}".removesuffix(".0") + f" {name}"
    return f"{number} bytes"
