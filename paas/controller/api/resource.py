"""What every endpoint shares: the caller, the limits, parsing, paging, rendering.

In: a request.  Out: typed input for one service, and its result as a response.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, TypeVar, cast

from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet
from django.http import HttpRequest
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.serializers import BaseSerializer, Serializer
from rest_framework.views import APIView

from paas.controller.api import limits, ranges
from paas.controller.api.authentication import READERS, SAFE_METHODS, WRITERS, check_scope
from paas.controller.api.rendering import HerokuNegotiation, take_chunked
from paas.controller.models import App, Token, User
from paas.controller.selectors.apps import access_app
from paas.errors import NotFound

Row = TypeVar("Row", bound=Model)


class Resource(APIView):
    """An endpoint. `readers`, `writers`: scopes of a token that may. `counted`: a call of it counts for the limit."""

    content_negotiation_class = HerokuNegotiation
    readers: ClassVar[set[str]] = READERS
    writers: ClassVar[set[str]] = WRITERS
    counted: ClassVar[bool] = True

    def initialize_request(self, request: HttpRequest, *args: Any, **kwargs: Any) -> Request:
        take_chunked(request)
        return super().initialize_request(request, *args, **kwargs)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        super().initial(request, *args, **kwargs)
        if isinstance(request.user, User):
            check_scope(token_of(request), self.readers if request.method in SAFE_METHODS else self.writers)
            if self.counted:
                self.calls_left = limits.spend(limits.REQUESTS, caller(request))

    def finalize_response(self, request: Request, response: Any, *args: Any, **kwargs: Any) -> Any:
        response = super().finalize_response(request, response, *args, **kwargs)
        if hasattr(self, "calls_left"):
            response.headers["RateLimit-Remaining"] = str(self.calls_left)
        return response


def actor(request: Request) -> User:
    """Return the account that calls (the permission class has made sure that there is one)."""
    return cast(User, request.user)


def token_of(request: Request) -> Token | None:
    return cast("Token | None", request.auth)


def caller(request: Request) -> str:
    token = token_of(request)
    return str(token.id if token else actor(request).id)


def app_of(request: Request, name_or_id: str) -> App:
    """Return the app of the path, if the caller may work on it."""
    return access_app(actor(request), name_or_id)


def read(request: Request, serializer: type[BaseSerializer[Any]]) -> dict[str, Any]:
    """Return the validated body. Raises ValidationError, which is answered with a 422."""
    parsed = serializer(data=request.data)
    parsed.is_valid(raise_exception=True)
    return cast("dict[str, Any]", parsed.validated_data)


def render(
    serializer: type[Serializer[Any]],
    row: object,
    *,
    status: int = 200,
    context: Mapping[str, Any] | None = None,
) -> Response:
    return Response(serializer(row, context=dict(context or {})).data, status=status)


def render_rows(
    request: Request,
    serializer: type[Serializer[Any]],
    rows: QuerySet[Row],
    fields: Mapping[str, ranges.Field],
    *,
    context: Mapping[str, Any] | None = None,
) -> Response:
    """Answer the page of a queryset that the Range header asks for; the first of `fields` is the default order."""
    wanted = ranges.parse(request.headers.get("Range", ""), list(fields), next(iter(fields)))
    return _render_page(serializer, ranges.page_of_rows(rows, wanted, fields), fields, context)


def render_items(
    request: Request,
    serializer: type[Serializer[Any]],
    items: Sequence[Any],
    fields: Mapping[str, ranges.Field],
    *,
    context: Mapping[str, Any] | None = None,
) -> Response:
    """Answer the page of a list that the Range header asks for; without one the list keeps its own order."""
    header = request.headers.get("Range", "")
    if not header.strip() and len(items) <= ranges.DEFAULT_PAGE:
        return _render_page(serializer, ranges.Page(list(items)), fields, context)
    wanted = ranges.parse(header, list(fields), next(iter(fields)))
    return _render_page(serializer, ranges.page_of_items(items, wanted, fields), fields, context)


def _render_page(
    serializer: type[Serializer[Any]],
    page: ranges.Page,
    fields: Mapping[str, ranges.Field],
    context: Mapping[str, Any] | None,
) -> Response:
    headers = {"Accept-Ranges": ", ".join(fields)}
    if page.content:
        headers["Content-Range"] = page.content
    if page.next:
        headers["Next-Range"] = page.next
    data = serializer(page.items, many=True, context=dict(context or {})).data
    return Response(data, status=206 if page.next else 200, headers=headers)


def get_row(rows: QuerySet[Row], message: str, resource: str, **wanted: Any) -> Row:
    """Return one row. Raises NotFound, also for an id that is none."""
    try:
        row = rows.filter(**wanted).first()
    except (ValueError, ValidationError):  # a malformed UUID
        row = None
    if row is None:
        raise NotFound(message, resource=resource)
    return row
