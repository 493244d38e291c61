"""The sub-command ``gnt-cluster completion``: what a shell needs to complete all our commands.

Ganeti has none such. It asks nobody, so that it can be run where a shell starts.
"""

import pkgutil
from typing import Final

import click
from click import shell_completion

from pyganeti import cli
from pyganeti.cli import session

_SHELLS: Final[dict[str, type[shell_completion.ShellComplete]]] = {
    "bash": shell_completion.BashComplete,
    "fish": shell_completion.FishComplete,
    "zsh": shell_completion.ZshComplete,
}
_PREFIX: Final = "gnt_"
_OTHERS: Final = ("ganeti-kvmd",)


@click.command()
@click.argument("shell", type=click.Choice(list(_SHELLS)), default="bash")
@click.pass_obj
def command(current: session.Session, *, shell: str) -> None:
    """Print what a shell needs to complete sub-commands, options and names.

    \b
    For everybody:  gnt-cluster completion bash >/etc/bash_completion.d/pyganeti
    For yourself:   echo 'source <(gnt-cluster completion bash)' >>~/.bashrc

    For zsh say zsh, in ~/.zshrc, after compinit; for fish,
    gnt-cluster completion fish >~/.config/fish/conf.d/pyganeti.fish.
    """  # noqa: D301 - click's mark for lines that stay as they are
    kind = _SHELLS[shell]
    for program in programs():
        variable = f"_{program.replace('-', '_').upper()}_COMPLETE"
        made = kind(click.Command(program), {}, program, variable)
        current.out((made.source_template % made.source_vars()).strip())


def programs() -> list[str]:
    """Return the names of the commands that can be completed."""
    found = [module.name for module in pkgutil.iter_modules(cli.__path__)]
    ours = [name.replace("_", "-") for name in found if name.startswith(_PREFIX)]
    return [*sorted(ours), *_OTHERS]
