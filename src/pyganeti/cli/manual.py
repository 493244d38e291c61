r"""Manual pages of the commands, made of their own help: what a page says is what is there.

A page is text for man(7). What every sub-command has that submits jobs is told once, at its end.
"""

import functools
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Final

import click

from pyganeti.cli import groups, options

_SECTION: Final = 8
_LITERAL: Final = "\b"
"""Click's mark, on a line of its own, for a paragraph whose lines stay as they are."""

_OTHERS: Final = ("ganeti-kvmd", "ganeti-masterd", "ganeti-noded")

_JOBS: Final = """\
Most of what is changed is done by a job: the command submits it and shows its messages until it
has ended. An interrupt ends the waiting, not the job; \\fBgnt\\-job watch\\fR \\fINUMBER\\fR takes
it up again. All sub-commands that submit jobs have these options, but for \\fB\\-\\-dry\\-run\\fR
where nothing could be said before it is done."""

_EXIT: Final = (
    ("0", "done"),
    ("1", "failed, and the reason was said"),
    ("2", "wrong words"),
    ("5", "there is no cluster here"),
    ("11", "this is not the master"),
    ("13", "nobody said yes, and nothing was done"),
    ("14", "there is no such field"),
    ("130", "interrupted"),
)


def page(group: groups.LazyGroup, programs: Iterable[str], version: str) -> str:
    """Return a command's page; ``programs`` are the commands that it is one of."""
    name = group.name or ""
    return "\n".join([*_page(group, name, programs, version), ""])


def _page(
    group: groups.LazyGroup, name: str, programs: Iterable[str], version: str
) -> Iterator[str]:
    doc = (group.help or "").strip()
    yield f'.TH {_text(name.upper())} {_SECTION} "" "pyganeti {version}" "pyganeti"'
    yield ".SH NAME"
    yield f"{_text(name)} \\- {_text(doc[:1].lower() + doc[1:].rstrip('.'))}"
    yield ".SH SYNOPSIS"
    yield f"{_bold(name)} \\fISUB\\-COMMAND\\fR [\\fIOPTION\\fR \\.\\.\\.] [\\fIWORD\\fR \\.\\.\\.]"
    yield ".SH SUB-COMMANDS"
    also = group.other_names
    submits = False
    with click.Context(group, info_name=name) as ctx:
        for sub_command in group.list_commands(ctx):
            if (found := group.get_command(ctx, sub_command)) is not None:
                submits |= any(_is_of_jobs(param) for param in found.params)
                yield from _sub_command(ctx, found, [sub_command, *also.get(sub_command, ())])
        if submits:
            yield from (".SH JOBS", _JOBS)
            for option in _of_jobs().values():
                yield from _option(ctx, option)
    yield ".SH EXIT STATUS"
    for code, meaning in _EXIT:
        yield from (".TP", f".B {code}", _text(meaning))
    yield ".SH SEE ALSO"
    others = sorted({*programs, *_OTHERS} - {name})
    yield ",\n".join(f".BR {_text(other)} ({_SECTION})" for other in others)


def _sub_command(above: click.Context, command: click.Command, names: list[str]) -> Iterator[str]:
    ctx = click.Context(command, parent=above, info_name=names[0])
    words = [word for word in command.collect_usage_pieces(ctx) if word != "[OPTIONS]"]
    own = [option for option in command.params if isinstance(option, click.Option)]
    of_jobs = [option for option in own if _is_of_jobs(option)]
    yield f'.SS "{_text(" ".join([*names[:1], *words]))}"'
    yield from _paragraphs(command.help or "")
    if len(names) > 1:
        yield from (".PP", f"Other names: {', '.join(_bold(one) for one in names[1:])}.")
    for option in own:
        if option not in of_jobs and not option.hidden:
            yield from _option(ctx, option)
    if of_jobs:
        yield from (".PP", "It submits jobs: see \\fBJOBS\\fR for the options that go with that.")


def _option(ctx: click.Context, option: click.Option) -> Iterator[str]:
    record = option.get_help_record(ctx)
    if record is not None:
        yield from (".TP", _marked(record[0]), _text(record[1]))


def _paragraphs(help_text: str) -> Iterator[str]:
    first = True
    for paragraph in re.split(r"\n\s*\n", help_text.strip("\n ")):
        if not first:
            yield ".PP"
        first = False
        lines = textwrap.dedent(paragraph).splitlines()
        if lines[0].strip(" ") == _LITERAL:
            yield from (".RS", ".nf")
            yield from (_text(line.rstrip()) for line in lines[1:])
            yield from (".fi", ".RE")
        else:
            yield _text(" ".join(line.strip() for line in lines))


@functools.cache
def _of_jobs() -> dict[str, click.Option]:
    """Return the options of all that submit jobs, by their names."""

    @click.command()
    @options.job()
    def command(how: options.How) -> None:
        del how

    return {
        option.name or "": option for option in command.params if isinstance(option, click.Option)
    }


def _is_of_jobs(param: click.Parameter) -> bool:
    known = _of_jobs().get(param.name or "")
    return (
        known is not None
        and isinstance(param, click.Option)
        and (known.opts, known.help) == (param.opts, param.help)
    )


def _marked(words: str) -> str:
    """Return an option's words, its names bold and what it takes in italics."""
    return "".join(
        piece
        if piece in {"", " ", ", ", " / "}
        else (_bold(piece) if piece.startswith("-") else f"\\fI{_text(piece)}\\fR")
        for piece in re.split(r"( / |, | )", words)
    )


def _bold(words: str) -> str:
    return f"\\fB{_text(words)}\\fR"


def _text(words: str) -> str:
    """Return words as troff takes them: what it would act on stands for itself."""
    safe = words.replace("\\", "\\e").replace("-", "\\-").replace('"', "\\(dq")
    return f"\\&{safe}" if safe.startswith((".", "'")) else safe
