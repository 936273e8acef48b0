"""Deploying prebuilt images.

In: POST /apps/APP/images with a reference or an uploaded archive.  Out: the build that makes a release of it.
"""

from __future__ import annotations

import json

from drf_spectacular.utils import extend_schema
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.builds import BuildSerializer, render_build
from paas.controller.api.resource import Resource, actor, app_of, read
from paas.controller.api.sources import uploaded_file
from paas.controller.services.prebuilt import create_image_build
from paas.controller.services.registries import check_source
from paas.errors import InvalidParams
from paas.oci.references import ARCHIVES


class NewImageSerializer(serializers.Serializer[None]):
    """`image`: `docker://REGISTRY/NAME:TAG`, or `oci-archive:NAME` with the URL of an uploaded archive (see POST
    /apps/APP/sources). `credentials`: an object like containers-auth.json(5), used for this one pull."""

    image = serializers.CharField(max_length=300)
    source_blob_url = serializers.CharField(required=False, allow_null=True)
    process_type = serializers.CharField(required=False, default="web", max_length=63)
    credentials = serializers.JSONField(required=False, allow_null=True, default=None)


class Images(Resource):
    @extend_schema(operation_id="deployImage", request=NewImageSerializer, responses={201: BuildSerializer})
    def post(self, request: Request, app: str) -> Response:
        """Deploy an image from a registry or an uploaded archive."""
        found, user = app_of(request, app), actor(request)
        body = read(request, NewImageSerializer)
        source, url = check_source(body["image"]), body.get("source_blob_url")
        if (source.transport in ARCHIVES) != bool(url):
            raise InvalidParams("Give source_blob_url with an archive, and with nothing else.")
        build = create_image_build(
            user,
            found,
            body["image"],
            process_type=body["process_type"],
            credentials=credentials_text(body["credentials"]),
            upload=uploaded_file(url, user.id) if url else None,
        )
        return render_build(request, build, 201)


def credentials_text(value: object) -> str:
    """Return registry credentials as the text of an auth file. Raises InvalidParams for what is none."""
    if value is None:
        return ""
    if not isinstance(value, dict) or not isinstance(value.get("auths"), dict):
        raise InvalidParams('credentials must be an object like {"auths": {"REGISTRY": {"auth": "..."}}}.')
    return json.dumps({"auths": value["auths"]})
