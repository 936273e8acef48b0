"""A host's whole wanted state, derived from rows.

In: a host.  Out: `runtime.model.WantedState` of its newest generation.
"""

from __future__ import annotations

from uuid import UUID

from django.db import transaction

from paas.controller.encryption import decrypt
from paas.controller.models import Host, Instance
from runtime.model import InstanceSpec, WantedState, decode


@transaction.atomic
def wanted_state(host_id: UUID) -> WantedState:
    """Return everything the host must run. Generation and content are read in one transaction."""
    host = Host.objects.get(id=host_id)
    instances = Instance.objects.filter(host=host).exclude(wanted=Instance.Wanted.STOP).order_by("created_at")
    specs = tuple(decode(decrypt(instance.spec), InstanceSpec) for instance in instances)
    return WantedState(generation=host.generation, instances=specs)
