"""What is in a slug, and where it came from.

In: requests under /apps/APP/slugs/SLUG/.  Out: CycloneDX and in-toto documents.
"""

from __future__ import annotations

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from paas.controller.api.resource import Resource, app_of, get_row
from paas.controller.models import Slug
from paas.controller.selectors.provenance import bill_of_materials, provenance

DOCUMENT = {(200, "application/json"): {"type": "object", "additionalProperties": True}}


def slug_of(request: Request, app: str, slug: str) -> Slug:
    """Return a slug of an app that the user may see. Raises NotFound."""
    found = app_of(request, app)
    slugs = Slug.objects.filter(app=found).select_related("app")
    return get_row(slugs, f"{found.name} has no slug {slug}.", "slug", id=slug)


class BillOfMaterials(Resource):
    @extend_schema(operation_id="getSlugSbom", responses=DOCUMENT)
    def get(self, request: Request, app: str, slug: str) -> Response:
        """Show the packages in a slug: CycloneDX 1.6."""
        return Response(bill_of_materials(slug_of(request, app, slug)))


class Provenance(Resource):
    @extend_schema(operation_id="getSlugProvenance", responses=DOCUMENT)
    def get(self, request: Request, app: str, slug: str) -> Response:
        """Show what a slug was built from, with what and when: an in-toto statement with SLSA provenance v1."""
        return Response(provenance(slug_of(request, app, slug)))
