"""The top frame of every command: what goes wrong becomes one line and an exit code.

Exit codes are Ganeti's: 0 done, 1 failed, 2 wrong words, 5 no cluster here, 11 not the master,
13 not confirmed, 14 unknown field; and 130 when it was interrupted.
"""

import contextlib
import os
import sys
from typing import Final, NoReturn

import click

import pyganeti
from pyganeti.base import errors, paths
from pyganeti.cli import groups, session

FAILED: Final = 1
NOT_CONFIRMED: Final = 13
UNKNOWN_FIELD: Final = 14
_INTERRUPTED: Final = 130


class NotConfirmed(errors.Failure):
    """Nobody said yes; nothing was done."""


def run(group: groups.LazyGroup) -> NoReturn:
    """Run a command with the words it was called with, and end the process."""
    program = group.name or "gnt"
    version = click.version_option(pyganeti.__version__, "-V", "--version", prog_name=program)
    sys.exit(_run(version(group), program))


def _run(group: click.Command, program: str) -> int:
    try:
        layout = paths.Paths.from_environment(os.environ)
    except errors.Failure as error:
        return _say(program, str(error), FAILED)
    current = session.Session(program, layout)
    try:
        code = group.main(prog_name=program, standalone_mode=False, obj=current)
        sys.stdout.flush()
    except click.exceptions.NoArgsIsHelpError as error:
        error.show()
        return error.exit_code
    except click.ClickException as error:
        return _say(program, _line(error), error.exit_code)
    except click.exceptions.Abort:
        return _say(program, "given up; nothing was done", NOT_CONFIRMED)
    except NotConfirmed as error:
        return _say(program, str(error), NOT_CONFIRMED)
    except errors.Failure as error:
        from pyganeti.clients import luxi

        return _say(program, str(error), luxi.exit_code(error))
    except BrokenPipeError:
        # Whoever read our output has enough; what is buffered has nowhere to go.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED
    except KeyboardInterrupt:
        return _say(program, "interrupted; jobs that were submitted go on", _INTERRUPTED)
    finally:
        current.close()
    return code if isinstance(code, int) else 0


def _line(error: click.ClickException) -> str:
    """Return what was wrong with the words, in one line that says where the right ones stand."""
    said = " ".join(error.format_message().split()).removesuffix(".")
    said = said[:1].lower() + said[1:]
    if not isinstance(error, click.UsageError) or error.ctx is None:
        return said
    if "; see " in said or "id you mean" in said:
        return said
    return f"{said}; see {error.ctx.command_path} --help"


def _say(program: str, text: str, code: int) -> int:
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    sys.stderr.write(f"{program}: {text}\n")
    return code
