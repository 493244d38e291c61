"""Submitting jobs and seeing them to their end: messages as they come, results, failures.

On a terminal one line says what the job is doing until something else is printed. Otherwise only
messages are printed, in Ganeti's form. An interrupt ends the waiting, never the job.
"""

import contextlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from pyganeti.base import errors
from pyganeti.cli import options, session
from pyganeti.clients import luxi
from pyganeti.model.opcodes import base, table


@dataclass(frozen=True, slots=True)
class Work:
    """One job to be: what people call it, and its opcodes."""

    label: str
    opcodes: Sequence[base.Opcode]


def run(
    current: session.Session,
    opcodes: Sequence[base.Opcode],
    how: options.How,
    *,
    even_drained: bool = False,
) -> list[Any] | None:
    """Submit one job and see it to its end; return its results, None with ``--submit``.

    ``even_drained``: also while the queue takes no jobs. Raises the job's failure.
    """
    described = _described(current, opcodes, how)
    number = current.client.submit(described, even_drained=even_drained)
    if how.print_jobid or how.submit:
        current.out(f"{'' if how.as_json else 'JobID: '}{number}")
    if how.submit:
        return None
    return follow(current, number, table.summary(opcodes[0]), quiet=how.as_json)


def do(
    current: session.Session,
    opcodes: Sequence[base.Opcode],
    how: options.How,
    *,
    even_drained: bool = False,
) -> None:
    """Run a job whose results people need not see; programs get them with ``--json``.

    Of one opcode that is its result, and a list of them otherwise. Raises the job's failure.
    """
    results = run(current, opcodes, how, even_drained=even_drained)
    if how.as_json and results is not None:
        current.out_json(results[0] if len(results) == 1 else results)


def run_many(current: session.Session, jobs: Sequence[Work], how: options.How) -> int:
    """Submit jobs at once and see all to their ends; return how many failed, each said.

    Programs get an object for each, ``{"name": …, "job": …, "status": …, "error": …}``.
    """
    if len(jobs) == 1 and not how.as_json:
        run(current, jobs[0].opcodes, how)
        return 0
    taken = current.client.submit_many([_described(current, job.opcodes, how) for job in jobs])
    failed = 0
    waited: list[tuple[Work, int]] = []
    for job, (is_taken, number) in zip(jobs, taken, strict=True):
        if not is_taken:
            failed += 1
            _tell_refused(current, job.label, number, how)
            continue
        if how.as_json and how.submit:
            current.out_json({"name": job.label, "job": int(number)})
        elif not how.as_json and (how.print_jobid or how.submit):
            current.out(f"{job.label}: JobID: {number}")
        waited.append((job, int(number)))
    if how.submit:
        return failed
    return failed + _follow_each(current, [(job.label, number) for job, number in waited], how)


def follow_jobs(
    current: session.Session,
    taken: Sequence[Sequence[Any]],
    labels: Sequence[str],
    how: options.How,
) -> int:
    """See jobs to their ends that a job answered with; return how many failed, each said.

    ``taken`` has for each [True, number] or [False, why not].
    """
    failed = 0
    waited: list[tuple[str, int]] = []
    for (is_taken, number), label in zip(taken, labels, strict=True):
        if is_taken:
            waited.append((label, int(number)))
        else:
            failed += 1
            _tell_refused(current, label, number, how)
    return failed + _follow_each(current, waited, how)


def _tell_refused(current: session.Session, label: str, why: int | str, how: options.How) -> None:
    if how.as_json:
        current.out_json({"name": label, "job": None, "status": "error", "error": why})
    else:
        current.tell(f"{label}: not submitted: {why}")


def _follow_each(
    current: session.Session, waited: Sequence[tuple[str, int]], how: options.How
) -> int:
    failed = 0
    for label, number in waited:
        why: str | None = None
        try:
            follow(current, number, label, quiet=how.as_json)
        except errors.Failure as error:
            failed += 1
            why = str(error)
        if how.as_json:
            status = "success" if why is None else "error"
            current.out_json({"name": label, "job": number, "status": status, "error": why})
        else:
            current.tell(f"{label}: {'done' if why is None else why}")
    return failed


def follow(current: session.Session, number: int, label: str, *, quiet: bool = False) -> list[Any]:
    """See a job to its end, messages and all; return its results, raise its failure."""
    with _shown(current, number, label) as shown:

        def on_news(news: luxi.Message) -> None:
            if news.text is None:
                shown.status(news.status)
            else:
                shown.message(_message(news), beside=quiet)

        return current.client.wait(number, on_news)


class _Shown(Protocol):
    """Where news of a job go."""

    def status(self, status: str) -> None: ...

    def message(self, text: str, *, beside: bool) -> None: ...


class _Lines:
    """Messages as lines; a status is not worth one."""

    def __init__(self, current: session.Session) -> None:
        self._current = current

    def status(self, status: str) -> None:
        del status

    def message(self, text: str, *, beside: bool) -> None:
        (self._current.tell if beside else self._current.out)(text)


class _Live:
    """One line that says how the job stands, and messages above it."""

    def __init__(self, status: Any, console: Any, number: int, label: str) -> None:  # noqa: ANN401 - rich's, imported late
        self._status = status
        self._console = console
        self._words = f"job {number}: {label}"

    def status(self, status: str) -> None:
        self._status.update(f"{self._words}: {status}")

    def message(self, text: str, *, beside: bool) -> None:
        del beside
        self._console.print(text, markup=False, highlight=False, soft_wrap=True)


@contextlib.contextmanager
def _shown(current: session.Session, number: int, label: str) -> Iterator[_Shown]:
    if not (current.is_terminal and current.can_ask):
        yield _Lines(current)
        return
    from rich import console as consoles
    from rich import markup

    console = consoles.Console(stderr=True)
    label = markup.escape(label)
    with console.status(f"job {number}: {label}") as status:
        yield _Live(status, console, number, label)


def _message(news: luxi.Message) -> str:
    moment = time.time() if news.moment is None else news.moment[0]
    text = news.text if isinstance(news.text, str) else str(news.text)
    return f"{time.ctime(moment)} {text}"


def _described(
    current: session.Session, opcodes: Sequence[base.Opcode], how: options.How
) -> list[dict[str, Any]]:
    trail = current.trail(how.reason)
    return [table.to_wire(options.applied(opcode, how, trail)) for opcode in opcodes]
