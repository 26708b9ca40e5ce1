"""The command line: `requiretls COMMAND …`."""

from __future__ import annotations

import sys

import click

from requiretls_plugin import __version__
from requiretls_plugin.cli.audit import audit_command
from requiretls_plugin.cli.check import check
from requiretls_plugin.cli.doctor import doctor
from requiretls_plugin.cli.exit_code import ExitCode
from requiretls_plugin.cli.explain import explain_address
from requiretls_plugin.cli.options import HELP
from requiretls_plugin.cli.plugins import plugins
from requiretls_plugin.cli.policies import policies
from requiretls_plugin.cli.selftest import selftest
from requiretls_plugin.cli.send import send
from requiretls_plugin.cli.terminal import say
from requiretls_plugin.errors import PluginError, SettingsError


@click.group(context_settings=HELP)
@click.version_option(__version__, prog_name="requiretls")
def requiretls() -> None:
    """REQUIRETLS (RFC 8689): deliver only over authenticated TLS, or say why not."""


requiretls.add_command(send)
requiretls.add_command(check)
requiretls.add_command(audit_command)
requiretls.add_command(explain_address)
requiretls.add_command(doctor)
requiretls.add_command(policies)
requiretls.add_command(plugins)
requiretls.add_command(selftest)


def main(arguments: list[str] | None = None) -> None:
    """Run the command line and exit with a code of sysexits.h."""
    sys.exit(run(arguments))


def run(arguments: list[str] | None = None) -> int:
    """Run the command line and return its exit code; errors go to standard error."""
    try:
        code = requiretls.main(args=arguments, prog_name="requiretls", standalone_mode=False)
    except click.UsageError as error:
        error.show()
        return ExitCode.USAGE
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except click.Abort:
        return ExitCode.INTERRUPTED
    except (SettingsError, PluginError) as error:
        say(str(error), err=True)
        return ExitCode.SETTINGS
    return int(code or 0)
