"""Questions before harm is done."""

import click

from pyganeti.cli import program, session


def confirm(current: session.Session, question: str, *, force: bool, option: str = "-f") -> None:
    """Have a person say yes, unless ``force``; raises NotConfirmed otherwise.

    Where there is no terminal nobody can say yes: they are told the ``option`` that does.
    """
    if force:
        return
    if not current.can_ask:
        raise program.NotConfirmed(
            f"{question} There is no terminal to ask on; say yes with {option}"
        )
    if not click.confirm(question, err=True):
        raise program.NotConfirmed("given up; nothing was done")
