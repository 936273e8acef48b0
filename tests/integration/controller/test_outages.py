"""A full disk or a database that is away: every door says so with a 503, and nothing looks like a fault of ours."""

from __future__ import annotations

import errno
import json

import pytest
from django.db import OperationalError
from django.http import HttpRequest, HttpResponse
from django.test import RequestFactory

from paas.controller.dashboard.doors import signed_in
from paas.controller.internal.machines import machine
from paas.controller.models import Host, User
from runtime.tls import host_identity

pytestmark = pytest.mark.integration

FULL = OSError(errno.ENOSPC, "No space left on device")
OUTAGES = [
    (FULL, "storage_full"),
    (OperationalError("database or disk is full"), "storage_full"),
    (OperationalError("server closed the connection unexpectedly"), "service_unavailable"),
]


def of_a_host() -> HttpRequest:
    request = RequestFactory().post("/internal/x")
    host = Host.objects.create(name="one", url="https://127.0.0.1:1")
    request.machine = host_identity(str(host.id))  # type: ignore[attr-defined]
    return request


@pytest.mark.parametrize(("error", "id"), OUTAGES)
def test_machines_are_told_as_json(error: Exception, id: str) -> None:
    @machine
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    answer = view(of_a_host())
    assert answer.status_code == 503
    assert json.loads(answer.content)["id"] == id


@pytest.mark.parametrize(("error", "id"), OUTAGES)
def test_people_are_told_on_a_page(error: Exception, id: str, user: User) -> None:
    @signed_in("GET")
    def view(request: HttpRequest) -> HttpResponse:
        raise error

    request = RequestFactory().get("/dashboard/x")
    request.user = user
    answer = view(request)
    assert answer.status_code == 503
    assert "nothing was changed" in answer.content.decode()


def test_other_failures_stay_failures() -> None:
    @machine
    def view(request: HttpRequest) -> HttpResponse:
        raise OSError(errno.EPERM, "not permitted")

    with pytest.raises(PermissionError):
        view(of_a_host())
