"""What can go wrong with a volume.

In: a sentence for whoever asked.  Out: errors that know their HTTP status and stable id.
"""

from __future__ import annotations

from runtime.container.port import EngineError


class VolumeError(EngineError):
    """Base. `status` is HTTP's, `id` the API's."""

    status, id = 500, "volume"


class VolumeInvalid(VolumeError):
    status, id = 400, "invalid"


class VolumeMissing(VolumeError):
    status, id = 404, "no_such_volume"


class VolumeBusy(VolumeError):
    status, id = 409, "volume_in_use"


class VolumeExists(VolumeError):
    status, id = 409, "volume_exists"


class VolumeDamaged(VolumeError):
    status, id = 500, "volume_damaged"


class NoSpace(VolumeError):
    status, id = 507, "no_space"
