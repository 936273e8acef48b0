"""The paths of the API, by noun. `:app` is a name or an id."""

from __future__ import annotations

from django.urls import URLPattern, URLResolver, path, re_path

from paas.controller.api import (
    absent,
    account,
    apps,
    buildpacks,
    builds,
    collaborators,
    config_vars,
    deployments,
    domains,
    dynos,
    formation,
    health,
    hosts,
    kernel,
    log_sessions,
    oauth,
    releases,
    schema,
    sources,
    stacks,
    transfers,
    users,
)

APP = "apps/<str:app>"

urlpatterns: list[URLPattern | URLResolver] = [
    path("account", account.Account.as_view()),
    path("account/app-transfers", transfers.AppTransfers.as_view()),
    path("account/rate-limits", account.RateLimits.as_view()),
    path("apps", apps.Apps.as_view()),
    path("users/~/apps", apps.OwnApps.as_view()),
    path("users", users.Users.as_view()),
    path("users/~", account.Me.as_view()),
    path("users/<str:user>", users.OneUser.as_view()),
    path(APP, apps.OneApp.as_view()),
    path(f"{APP}/available-stacks", stacks.AppStacks.as_view()),
    path(f"{APP}/buildpack-installations", buildpacks.BuildpackInstallations.as_view()),
    path(f"{APP}/builds", builds.Builds.as_view()),
    path(f"{APP}/builds/<str:build>", builds.OneBuild.as_view()),
    path(f"{APP}/builds/<str:build>/result", builds.BuildResult.as_view()),
    path(f"{APP}/collaborators", collaborators.Collaborators.as_view()),
    path(f"{APP}/collaborators/<str:collaborator>", collaborators.OneCollaborator.as_view()),
    path(f"{APP}/config-vars", config_vars.ConfigVars.as_view()),
    path(f"{APP}/deployments", deployments.Deployments.as_view()),
    path(f"{APP}/deployments/<str:deployment>", deployments.OneDeployment.as_view()),
    path(f"{APP}/domains", domains.Domains.as_view()),
    path(f"{APP}/domains/<str:domain>", domains.OneDomain.as_view()),
    path(f"{APP}/dynos", dynos.Dynos.as_view()),
    path(f"{APP}/dynos/<str:dyno>", dynos.OneDyno.as_view()),
    path(f"{APP}/dynos/<str:dyno>/actions/stop", dynos.StopDyno.as_view()),
    path(f"{APP}/formation", formation.Formation.as_view()),
    path(f"{APP}/formation/<str:type>", formation.ProcessType.as_view()),
    path(f"{APP}/formations/<str:type>", dynos.RestartType.as_view()),
    path(f"{APP}/formations/<str:type>/actions/stop", dynos.StopType.as_view()),
    path(f"{APP}/kernel", kernel.Kernel.as_view()),
    path(f"{APP}/log-sessions", log_sessions.LogSessions.as_view()),
    path(f"{APP}/releases", releases.Releases.as_view()),
    path(f"{APP}/releases/<str:release>", releases.OneRelease.as_view()),
    path(f"{APP}/releases/<str:release>/config-vars", config_vars.ReleaseConfigVars.as_view()),
    path(f"{APP}/releases/<str:release>/diff/<str:other>", releases.Diff.as_view()),
    path(f"{APP}/slugs/<str:slug>", builds.OneSlug.as_view()),
    path(f"{APP}/sources", sources.AppSources.as_view()),
    path("sources", sources.Sources.as_view()),
    path("oauth/authorizations", oauth.Authorizations.as_view()),
    path("oauth/authorizations/<str:authorization>", oauth.OneAuthorization.as_view()),
    path("oauth/sessions/<str:session>", oauth.Session.as_view()),
    path("dyno-sizes", stacks.DynoSizes.as_view()),
    path("dyno-sizes/<str:size>", stacks.OneDynoSize.as_view()),
    path("hosts", hosts.Hosts.as_view()),
    path("regions", stacks.Regions.as_view()),
    path("regions/<str:region>", stacks.OneRegion.as_view()),
    path("stacks", stacks.Stacks.as_view()),
    path("stacks/<str:stack>", stacks.OneStack.as_view()),
    path("health", health.Health.as_view()),
    path("schema", schema.Schema.as_view()),
    path("schema.json", schema.Schema.as_view()),
    # By signed URL, without a token.
    path("build-output/<str:token>", builds.read_build_output),
    path("log-sessions/<str:token>", log_sessions.read_session),
    path("release-output/<str:token>", releases.read_release_output),
    path("source-blobs/<str:token>", sources.source_blob),
    # What clients look for and there is none of.
    *(
        path(f"{APP}/{noun}", absent.NoneOfApp.as_view())
        for noun in (
            "addons",
            "addon-attachments",
            "features",
            "log-drains",
            "sni-endpoints",
            "telemetry-drains",
            "webhooks",
        )
    ),
    path(f"{APP}/pipeline-couplings", absent.NoPipeline.as_view()),
    *(
        path(noun, absent.NoneOfThem.as_view())
        for noun in (
            "account/features",
            "account/keys",
            "addon-attachments",
            "addons",
            "oauth/clients",
            "oauth/sessions",
            "pipelines",
            "spaces",
            "teams",
        )
    ),
    re_path(rf"^(?:{absent.NOUNS})(?:/.*)?$", absent.Unknown.as_view()),
]
