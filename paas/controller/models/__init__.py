"""All tables of the controller. Rules that must always hold are database constraints."""

from paas.controller.models.accounts import Token, User
from paas.controller.models.apps import App, Collaborator, Domain
from paas.controller.models.builds import Build, BuildLog, Slug
from paas.controller.models.crashes import Crash
from paas.controller.models.deployments import Deployment
from paas.controller.models.events import Event
from paas.controller.models.hosts import Host, JoinToken, Router, RouteVersion
from paas.controller.models.instances import Departure, Instance, OneOff
from paas.controller.models.networks import Network, NetworkMember
from paas.controller.models.registry import RegistryBlob, RegistryTag
from paas.controller.models.releases import Release
from paas.controller.models.schedules import CronJob, Script
from paas.controller.models.sources import Delivery, HookRecord, Source
from paas.controller.models.stacks import Stack, StackLanguage, StackTask
from paas.controller.models.volumes import Volume

__all__ = [
    "App",
    "Build",
    "BuildLog",
    "Collaborator",
    "Crash",
    "CronJob",
    "Delivery",
    "Departure",
    "Deployment",
    "Domain",
    "Event",
    "HookRecord",
    "Host",
    "Instance",
    "JoinToken",
    "Network",
    "NetworkMember",
    "OneOff",
    "RegistryBlob",
    "RegistryTag",
    "Release",
    "RouteVersion",
    "Router",
    "Script",
    "Slug",
    "Source",
    "Stack",
    "StackLanguage",
    "StackTask",
    "Token",
    "User",
    "Volume",
]
