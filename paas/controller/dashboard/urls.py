"""Paths of the dashboard. The API owns /apps, /account and /hosts on the same port, so the pages are a folder down."""

from django.urls import path

from paas.controller.dashboard import (
    account,
    activity,
    builds,
    config,
    formation,
    home,
    hosts,
    logs,
    overview,
    releases,
    sessions,
    settings,
)

app_name = "dashboard"

APP = "dashboard/apps/<str:name>"

urlpatterns = [
    path("", home.home, name="home"),
    path("login", sessions.login, name="login"),
    path("logout", sessions.logout, name="logout"),
    path("dashboard/apps", home.create, name="create"),
    path("dashboard/account", account.page, name="account"),
    path("dashboard/account/password", account.password, name="password"),
    path("dashboard/account/tokens", account.create_token, name="tokens"),
    path("dashboard/account/tokens/<uuid:token_id>/revoke", account.revoke_token, name="revoke_token"),
    path("dashboard/hosts", hosts.page, name="hosts"),
    path(APP, overview.page, name="app"),
    path(f"{APP}/live", overview.live, name="live"),
    path(f"{APP}/formation", formation.scale, name="formation"),
    path(f"{APP}/restart", formation.restart, name="restart"),
    path(f"{APP}/one-offs/<uuid:one_off_id>/stop", formation.stop_one_off, name="stop_one_off"),
    path(f"{APP}/logs/stream", logs.stream, name="logs"),
    path(f"{APP}/activity", activity.page, name="activity"),
    path(f"{APP}/releases/<int:version>", releases.page, name="release"),
    path(f"{APP}/releases/<int:version>/rollback", releases.rollback, name="rollback"),
    path(f"{APP}/builds/<uuid:build_id>", builds.page, name="build"),
    path(f"{APP}/builds/<uuid:build_id>/state", builds.state, name="build_state"),
    path(f"{APP}/builds/<uuid:build_id>/stream", builds.stream, name="build_stream"),
    path(f"{APP}/builds/<uuid:build_id>/cancel", builds.cancel, name="cancel_build"),
    path(f"{APP}/config", config.page, name="config"),
    path(f"{APP}/config/<str:key>", config.one, name="config_var"),
    path(f"{APP}/config/<str:key>/remove", config.remove, name="remove_config_var"),
    path(f"{APP}/settings", settings.page, name="settings"),
    path(f"{APP}/rename", settings.rename, name="rename"),
    path(f"{APP}/domains", settings.add_domain, name="domains"),
    path(f"{APP}/domains/remove", settings.remove_domain, name="remove_domain"),
    path(f"{APP}/maintenance", settings.maintenance, name="maintenance"),
    path(f"{APP}/destroy", settings.destroy, name="destroy"),
]
