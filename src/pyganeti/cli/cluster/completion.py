"""The sub-command ``gnt-cluster completion``: what a shell needs to complete all our commands.

Ganeti has none such. It asks nobody, so that it can be run where a shell starts.
"""

import pkgutil
from typing import Final

import click
from click import shell_completion

from pyganeti import cli
from pyganeti.cli import session

_BASH: Final = r"""
%(complete_func)s() {
    local word answer kind value prefix last=
    local -i index at=0
    local words=()
    # Bash takes a=b for three words, and puts what it is told in the place of the last.
    for index in "${!COMP_WORDS[@]}"; do
        word=${COMP_WORDS[index]}
        if (( index > 1 )) && [[ $word == "=" || $last == "=" ]]; then
            words[${#words[@]}-1]+=$word
        else
            words+=("$word")
        fi
        last=$word
        (( index == COMP_CWORD )) && at=${#words[@]}-1
    done
    prefix=
    [[ ${words[at]} == *=* ]] && prefix=${words[at]%%=*}=
    COMPREPLY=()
    answer=$(IFS=$'\n'; COMP_WORDS="${words[*]}" COMP_CWORD=$at %(complete_var)s=bash_complete "$1")
    while IFS=, read -r kind value; do
        case $kind in
            dir) compopt -o dirnames ;;
            file) compopt -o default ;;
            plain)
                COMPREPLY+=("${value#"$prefix"}")
                [[ $value == *= ]] && compopt -o nospace
                ;;
        esac
    done <<<"$answer"
    return 0
}

complete -o nosort -F %(complete_func)s %(prog_name)s
"""


class _Bash(shell_completion.BashComplete):
    """Click's, which would not get beyond the equals sign of ``--on-stop killed=leave``."""

    source_template = _BASH


_SHELLS: Final[dict[str, type[shell_completion.ShellComplete]]] = {
    "bash": _Bash,
    "fish": shell_completion.FishComplete,
    "zsh": shell_completion.ZshComplete,
}
_PREFIX: Final = "gnt_"
_OTHERS: Final = ("ganeti-cleaner", "ganeti-kvmd", "ganeti-watcher")


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
