"""A release as an OCI image, for those who pull it.

In: a release, a process type, its layers as OCI clients take them.  Out: configuration and manifest, the same bytes
each time. Config vars are not in it: who runs it elsewhere brings their own.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from paas.controller.models import Release
from paas.controller.selectors.prebuilt import APP_HOME, LAUNCHER, PORT, WEB, image_for, layers
from paas.controller.selectors.specs import image_refs
from paas.errors import NotFound
from paas.oci.export import Converted
from paas.oci.manifests import OCI_CONFIG, OCI_LAYER_GZIP, OCI_MANIFEST, digest_of, host_platform

APP_USER = "1000:1000"
PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"  # as in the platform's containers


def pulled_layers(release: Release, process_type: str) -> tuple[str, ...]:
    """Return the digests of a release's squashfs files, the lowest first. Raises NotFound for what cannot be pulled."""
    if release.slug is None:
        raise NotFound(f"v{release.version} has no code to pull.", resource="release")
    own = tuple(ref.digest for ref in reversed(layers(release, process_type)))
    if image_for(release.slug, process_type) is not None:
        return own
    if not release.stack_layers:
        raise NotFound(
            f"v{release.version} runs on the host's own /usr, which is no image: only releases on a stack are pulled.",
            resource="release",
        )
    return (*reversed([ref.digest for ref in image_refs(release.stack_layers)]), *own)


def documents(release: Release, process_type: str, converted: Sequence[Converted]) -> tuple[bytes, bytes]:
    """Return configuration and manifest of a release's image."""
    platform = host_platform()
    config = encode(
        {
            "created": release.created_at.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "architecture": platform.architecture,
            "os": platform.os,
            "config": _container(release, process_type),
            "rootfs": {"type": "layers", "diff_ids": [layer.diff_id for layer in converted]},
        }
    )
    manifest = encode(
        {
            "schemaVersion": 2,
            "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": digest_of(config), "size": len(config)},
            "layers": [
                {"mediaType": OCI_LAYER_GZIP, "digest": layer.digest, "size": layer.size}
                for layer in converted
            ],
        }
    )
    return config, manifest


def encode(value: dict[str, Any]) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def _container(release: Release, process_type: str) -> dict[str, Any]:
    image = image_for(release.slug, process_type)
    assert release.slug is not None
    labels = {"paas.app": release.app.name, "paas.release": f"v{release.version}"}
    if release.slug.commit:
        labels["org.opencontainers.image.revision"] = release.slug.commit
    entry = release.formation.get(process_type, {})
    command = str(entry.get("command") or release.slug.process_types.get(process_type, ""))
    if image is not None:
        return {
            "Cmd": list(image.argv),
            "Env": _env(image.env),
            "WorkingDir": image.cwd,
            "User": f"{image.uid}:{image.gid}",
            "ExposedPorts": {f"{image.port}/tcp": {}},
            "StopSignal": str(image.stop_signal),
            "Volumes": {path: {} for path in image.volumes},
            "Labels": labels,
        }
    env = {
        "PATH": PATH,
        "HOME": APP_HOME,
        "LANG": "C.UTF-8",
        "PORT": str(PORT),
        **release.slug.config_defaults,
    }
    return {
        "Entrypoint": [LAUNCHER, "-c"],
        **({"Cmd": [command]} if command else {}),
        "Env": _env(env),
        "WorkingDir": APP_HOME,
        "User": APP_USER,
        **({"ExposedPorts": {f"{PORT}/tcp": {}}} if process_type == WEB else {}),
        "Labels": labels,
    }


def _env(values: dict[str, str]) -> list[str]:
    return [f"{name}={value}" for name, value in sorted(values.items())]
