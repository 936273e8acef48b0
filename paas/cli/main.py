"""The entry of the `paas` command.

In: the command line, as `paas config:set` or `paas config set`.  Out: an exit code (see `failures`).
"""

from __future__ import annotations

import sys
from importlib import import_module

import click

from paas.cli.failures import Failure

# Name -> module under paas.cli.commands and the command's name in it.
COMMANDS = {
    "login": "account.login",
    "logout": "account.logout",
    "password": "account.password",
    "whoami": "account.whoami",
    "access": "access.access",
    "access:add": "access.add",
    "access:remove": "access.remove",
    "apps": "apps.apps",
    "create": "apps.create",
    "destroy": "apps.destroy",
    "info": "apps.info",
    "maintenance": "apps.maintenance",
    "maintenance:off": "apps.maintenance_off",
    "maintenance:on": "apps.maintenance_on",
    "open": "apps.open_app",
    "rename": "apps.rename",
    "builds": "builds.builds",
    "builds:cache:purge": "builds.purge_cache",
    "builds:cancel": "builds.cancel",
    "builds:create": "builds.create",
    "builds:info": "builds.info",
    "builds:output": "builds.output",
    "config": "config.config",
    "config:get": "config.get",
    "config:set": "config.set_vars",
    "config:unset": "config.unset",
    "cron": "cron.cron",
    "cron:pause": "cron.pause",
    "cron:resume": "cron.resume",
    "cron:run": "cron.run",
    "deploy": "images.deploy",
    "deployments": "releases.deployments",
    "domains": "domains.domains",
    "domains:add": "domains.add",
    "domains:remove": "domains.remove",
    "egress": "egress.egress",
    "egress:allow": "egress.allow",
    "egress:clear": "egress.clear",
    "egress:deny": "egress.deny",
    "git:credentials": "git.git_credentials",
    "git:remote": "git.git_remote",
    "hosts": "hosts.hosts",
    "hosts:cordon": "hosts.cordon",
    "hosts:drain": "hosts.drain",
    "hosts:info": "hosts.info",
    "hosts:remove": "hosts.remove",
    "hosts:token": "hosts.token",
    "hosts:uncordon": "hosts.uncordon",
    "buildpacks": "buildpacks.buildpacks",
    "buildpacks:add": "buildpacks.add",
    "buildpacks:set": "buildpacks.set_buildpack",
    "buildpacks:remove": "buildpacks.remove",
    "buildpacks:clear": "buildpacks.clear",
    "kernel": "kernel.kernel",
    "kernel:set": "kernel.set_parameters",
    "kernel:unset": "kernel.unset",
    "runtime": "runtime.runtime",
    "runtime:set": "runtime.set_runtime",
    "runtime:unset": "runtime.unset",
    "logs": "logs.logs",
    "networks": "networks.networks",
    "networks:create": "networks.create",
    "networks:destroy": "networks.destroy",
    "networks:join": "networks.join",
    "networks:leave": "networks.leave",
    "ps": "ps.ps",
    "ps:copy": "reaching.copy",
    "ps:exec": "ps.execute",
    "ps:forward": "reaching.forward",
    "ps:restart": "ps.restart",
    "ps:scale": "ps.scale",
    "ps:stop": "ps.stop",
    "rebase": "stacks.rebase",
    "run": "ps.run",
    "provenance": "slugs.provenance",
    "sbom": "slugs.sbom",
    "releases": "releases.releases",
    "releases:diff": "releases.diff",
    "releases:info": "releases.info",
    "rollback": "releases.rollback",
    "source": "source.source",
    "source:connect": "source.connect",
    "source:deploy": "source.deploy",
    "source:disconnect": "source.disconnect",
    "source:hook": "source.hook",
    "source:path": "source.folder",
    "stacks": "stacks.stacks",
    "stacks:import": "stacks.import_stack",
    "stacks:update": "stacks.update",
    "transfer": "access.transfer",
    "users": "users.users",
    "users:add": "users.add",
    "users:demote": "users.demote",
    "users:disable": "users.disable",
    "users:enable": "users.enable",
    "users:promote": "users.promote",
    "users:remove": "users.remove",
    "users:reset": "users.reset",
    "volumes": "volumes.volumes",
    "volumes:clone": "volumes.clone",
    "volumes:create": "volumes.create",
    "volumes:destroy": "volumes.destroy",
    "volumes:mount": "volumes.mount",
    "volumes:resize": "volumes.resize",
    "volumes:restore": "volumes.restore",
    "volumes:snapshot": "volumes.snapshot",
    "volumes:snapshots": "volumes.snapshots",
}
ALIASES = {
    "apps:create": "create",
    "apps:destroy": "destroy",
    "apps:info": "info",
    "apps:open": "open",
    "apps:rename": "rename",
    "apps:transfer": "transfer",
    "auth:login": "login",
    "auth:logout": "logout",
    "auth:whoami": "whoami",
    "releases:rollback": "rollback",
    "exec": "ps:exec",
    "restart": "ps:restart",
    "run:inside": "ps:exec",
    "run:detached": "run",
    "ps:resize": "ps:scale",
    "ps:type": "ps:scale",
    "scale": "ps:scale",
    "stop": "ps:stop",
}
# Exit code of a program ended by Ctrl-C, as shells have it.
INTERRUPTED = 130


class Commands(click.Group):
    """Commands by name, imported when called; a colon or a space between the words."""

    def list_commands(self, context: click.Context) -> list[str]:
        return sorted(COMMANDS)

    def get_command(self, context: click.Context, name: str) -> click.Command | None:
        target = COMMANDS.get(ALIASES.get(name, name))
        if target is None:
            return None
        module, _, attribute = target.partition(".")
        found = getattr(import_module(f"paas.cli.commands.{module}"), attribute)
        assert isinstance(found, click.Command)
        return found

    def resolve_command(
        self, context: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name, rest = join_words(args)
        found = self.get_command(context, name)
        if found is None:
            raise click.UsageError(unknown(name), context)
        return name, found, rest

    def format_commands(self, context: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            found = ((name, self.get_command(context, name)) for name in self.list_commands(context))
            formatter.write_dl([(name, one.get_short_help_str(80)) for name, one in found if one is not None])


def join_words(args: list[str]) -> tuple[str, list[str]]:
    """Return the command's name and its arguments; two words that name a command together are joined."""
    joined = ":".join(args[:2])
    if len(args) > 1 and (joined in COMMANDS or joined in ALIASES):
        return joined, args[2:]
    return args[0], args[1:]


def unknown(name: str) -> str:
    from difflib import get_close_matches

    near = get_close_matches(name, [*COMMANDS, *ALIASES], n=1)
    hint = f" Did you mean `paas {near[0]}`?" if near else ""
    return f"There is no command {name}.{hint} `paas --help` lists what there is."


def print_version(context: click.Context, parameter: click.Parameter, value: bool) -> None:
    if value and not context.resilient_parsing:
        from importlib.metadata import version

        click.echo(f"paas {version('paas')}")
        context.exit()


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--version", is_flag=True, is_eager=True, expose_value=False, callback=print_version, help="Show it."
)
def cli() -> None:
    """Deploy and run apps: `paas create`, then `git push paas main`."""


def run(arguments: list[str]) -> int:
    """Run a command line and return its exit code."""
    try:
        ended = cli.main(arguments, prog_name="paas", standalone_mode=False)
    except Failure as failure:
        click.echo(f" !    {failure.message}", err=True)
        return failure.exit_code
    except click.exceptions.NoArgsIsHelpError as shown:
        click.echo(shown.format_message())
        return 2
    except click.ClickException as error:
        error.show()
        return 2
    except click.exceptions.Exit as end:
        return end.exit_code
    except (click.Abort, KeyboardInterrupt):
        click.echo(err=True)
        return INTERRUPTED
    except BrokenPipeError:
        sys.stderr.close()  # the reader of a pipe is gone: nothing left to say, and nobody to say it to
        return 0
    return ended if isinstance(ended, int) else 0  # an Exit, which click gives back here


def main() -> None:
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
