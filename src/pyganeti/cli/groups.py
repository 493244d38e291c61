"""A command with many sub-commands, each imported when it is used and not before.

The group knows its sub-commands' names and one line about each; ``gnt-instance --help`` imports
none of them. A sub-command's module has its click command as ``command``.
"""

import importlib
from collections.abc import Mapping
from typing import Any, Final

import click

from pyganeti.cli import session

CONTEXT: Final[dict[str, Any]] = {"help_option_names": ["-h", "--help"]}

Table = Mapping[str, tuple[str, str]]
"""By name: the module, and one line that says what it does."""


class LazyGroup(click.Group):
    """Sub-commands from a table, in the table's order, with other names for some."""

    def __init__(
        self,
        name: str,
        table: Table,
        *,
        doc: str,
        aliases: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(name, help=doc, context_settings=CONTEXT, no_args_is_help=True)
        self.table = table
        self._aliases = {name: of for name, of in (aliases or {}).items() if of in table}

    @property
    def other_names(self) -> dict[str, list[str]]:
        """The other names that sub-commands have, by their usual ones."""
        also: dict[str, list[str]] = {}
        for alias, name in sorted(self._aliases.items()):
            also.setdefault(name, []).append(alias)
        return also

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Return the sub-commands' names; other names of them are not among these."""
        del ctx
        return list(self.table)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import a sub-command and return it, None if there is none of that name."""
        del ctx
        entry = self.table.get(self._aliases.get(cmd_name, cmd_name))
        if entry is None:
            return None
        found: click.Command = importlib.import_module(entry[0]).command
        found.name = self._aliases.get(cmd_name, cmd_name)
        return found

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the sub-command that the words begin with; a mistyped one is told what is near."""
        name = args[0]
        if ctx.resilient_parsing:  # somebody is typing: nothing is said, and nothing recorded
            found = self.get_command(ctx, name)
            return (name if found else None), found, args[1:]
        if self.get_command(ctx, name) is None and not name.startswith("-"):
            import difflib

            near = difflib.get_close_matches(name, [*self.table, *self._aliases], n=3)
            hint = f"; did you mean {' or '.join(near)}?" if near else f"; see {self.name} --help"
            ctx.fail(f"there is no sub-command {name!r}{hint}")
        if isinstance(ctx.obj, session.Session):
            ctx.obj.sub_command = self._aliases.get(name, name)
            ctx.obj.record(args)
        return super().resolve_command(ctx, args)

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[Any]:
        """Return sub-commands that begin like that, from the table alone; other names last."""
        from click import shell_completion

        items = [
            shell_completion.CompletionItem(name, help=said)
            for name, (_, said) in self.table.items()
            if name.startswith(incomplete)
        ]
        items = items or [
            shell_completion.CompletionItem(alias, help=f"The same as {name}.")
            for alias, name in sorted(self._aliases.items())
            if incomplete and alias.startswith(incomplete)
        ]
        return [*items, *click.Command.shell_complete(self, ctx, incomplete)]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the list of sub-commands from the table alone."""
        del ctx
        also = self.other_names
        with formatter.section("Commands"):
            formatter.write_dl(
                [
                    (", ".join([name, *also.get(name, ())]), said)
                    for name, (_, said) in self.table.items()
                ]
            )
