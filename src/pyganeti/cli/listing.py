"""Lists: what is asked for is queried, and shown as a table, or as JSON for programs."""

import functools
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import click

from pyganeti.cli import completing, filters, program, session, tables

F = TypeVar("F", bound=Callable[..., Any])

Complete = Callable[[click.Context, click.Parameter, str], list[Any]]
"""Returns what a word may become."""

_UNKNOWN: Final = "unknown"
_FEW: Final = 8
_KINDS: Final = {"ctime": "timestamp", "mtime": "timestamp"}
"""What people see as times though queries call it something else."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What a list is to show, and how. ``fields`` None: the usual ones."""

    headers: bool = True
    separator: str | None = None
    units: str = "h"
    fields: str | None = None
    verbose: bool = False
    force_filter: bool = False
    as_json: bool = False

    def chosen(self, usual: Sequence[str]) -> list[str]:
        """Return the fields: those asked for; ``+a,b`` are the usual ones and those."""
        if self.fields is None:
            return list(usual)
        names = [name for name in self.fields.removeprefix("+").split(",") if name]
        return [*usual, *names] if self.fields.startswith("+") else names

    def style(self, current: session.Session) -> tables.Style:
        """Return how the table is to look."""
        width = tables.terminal_width() if current.is_terminal and self.separator is None else 0
        return tables.Style(
            headers=self.headers,
            separator=self.separator,
            units=self.units,
            verbose=self.verbose,
            width=width,
            colours=bool(width) and tables.has_colours(),
        )


def options(*, with_query: bool = True, what: str | None = None) -> Callable[[F], F]:
    """Give a sub-command the options of lists; it gets them as ``look``.

    ``what`` is the resource whose fields are completed.
    """

    def decorate(function: F) -> F:
        @functools.wraps(function)
        def wrapped(**given: Any) -> Any:  # noqa: ANN401 - click's keywords
            look = Look(
                headers=not given.pop("no_headers"),
                separator=given.pop("separator"),
                units=given.pop("units", "h"),
                fields=given.pop("output", None),
                verbose=given.pop("verbose", False),
                force_filter=given.pop("force_filter", False),
                as_json=given.pop("as_json"),
            )
            return function(look=look, **given)

        decorated: Any = wrapped
        for option in reversed([*_PLAIN, _output(what), *_QUERY] if with_query else _PLAIN):
            decorated = option(decorated)
        return decorated  # type: ignore[no-any-return]

    return decorate


def _output(what: str | None) -> Callable[[F], F]:
    return click.option(
        "-o",
        "--output",
        metavar="FIELDS",
        help="Show these fields, separated by commas; +FIELDS: besides the usual ones.",
        shell_complete=completing.fields(what) if what else None,
    )


_PLAIN: Final = [
    click.option("--no-headers", is_flag=True, help="Leave the line of titles out."),
    click.option("--separator", metavar="TEXT", help="Put this between cells; align nothing."),
    click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line."),
]
_QUERY: Final = [
    click.option(
        "--units",
        type=click.Choice(["h", "m", "g", "t"]),
        default="h",
        help="Sizes in units that fit, or all in MiB, GiB or TiB.",
    ),
    click.option("-v", "--verbose", is_flag=True, help="Say why a value is not there."),
    click.option(
        "-F", "--filter", "force_filter", is_flag=True, help="The word is a filter, not a name."
    ),
]


def show(
    current: session.Session,
    what: str,
    words: Sequence[str],
    usual: Sequence[str],
    look: Look,
    *,
    field: str = "name",
    numeric: bool = False,
    besides: filters.Filter | None = None,
    kinds: Mapping[str, str] | None = None,
) -> int:
    """Query a resource and print what comes back; return the exit code.

    ``field`` is what words name. ``besides`` is a filter that has to hold as well. ``kinds`` are
    those of fields that the query calls "other" and people see as something better.
    """
    wanted = filters.of_words(words, field=field, force=look.force_filter, numeric=numeric)
    if besides is not None:
        wanted = besides if wanted is None else ["&", wanted, besides]
    answer = current.client.query(what, look.chosen(usual), wanted)
    columns = [
        tables.Column(
            defined["name"],
            defined["title"],
            (kinds or {}).get(defined["name"], defined["kind"]),
        )
        for defined in answer["fields"]
    ]
    if look.as_json:
        for row in answer["data"]:
            current.out_json(
                {
                    column.name: value if status == tables.NORMAL else None
                    for column, (status, value) in zip(columns, row, strict=True)
                }
            )
    else:
        for line in tables.lines(columns, answer["data"], look.style(current)):
            current.out(line)
    unknown = [column.name for column in columns if column.kind == _UNKNOWN]
    if unknown:
        current.tell(
            f"{current.program}: there are no fields {', '.join(unknown)}; {_hint(current, what)}"
        )
        return program.UNKNOWN_FIELD
    return 0


def _hint(current: session.Session, what: str) -> str:
    """Say which fields a resource has, or how to see them if they are many."""
    names = [str(one["name"]) for one in current.client.query_fields(what, None)["fields"]]
    if len(names) > _FEW:
        return f"see {current.program} list-fields"
    return f"there are {', '.join(names)}"


def show_fields(current: session.Session, what: str, names: Sequence[str], look: Look) -> int:
    """Print which fields a resource has; return the exit code."""
    answer = current.client.query_fields(what, list(names) or None)
    defined = answer["fields"]
    if look.as_json:
        for one in defined:
            current.out_json(one)
    else:
        columns = [
            tables.Column("name", "Name", "text"),
            tables.Column("kind", "Type", "text"),
            tables.Column("title", "Title", "text"),
            tables.Column("doc", "Description", "text"),
        ]
        rows = [
            [(tables.NORMAL, one.get(column.name, "")) for column in columns] for one in defined
        ]
        for line in tables.lines(columns, rows, look.style(current)):
            current.out(line)
    return program.UNKNOWN_FIELD if any(one["kind"] == _UNKNOWN for one in defined) else 0


def list_command(
    what: str,
    usual: Sequence[str],
    doc: str,
    *,
    complete: Complete | None = None,
    kinds: Mapping[str, str] | None = None,
    field: str = "name",
) -> click.Command:
    """Return the sub-command that lists a resource, by name, pattern or filter."""

    @click.command(help=doc)
    @click.argument("words", nargs=-1, shell_complete=complete)
    @options(what=what)
    @click.pass_obj
    def command(current: session.Session, *, words: tuple[str, ...], look: Look) -> int:
        return show(
            current, what, words, usual, look, field=field, kinds={**_KINDS, **(kinds or {})}
        )

    return command


def fields_command(what: str, doc: str) -> click.Command:
    """Return the sub-command that lists what can be shown of a resource."""

    @click.command(help=doc)
    @click.argument("fields", nargs=-1, shell_complete=completing.fields(what))
    @options(with_query=False)
    @click.pass_obj
    def command(current: session.Session, *, fields: tuple[str, ...], look: Look) -> int:
        return show_fields(current, what, fields, look)

    return command
