"""The sub-command ``gnt-debug test-jobqueue``: the job queue tried out, as a client sees it."""

import contextlib
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import click

from pyganeti.base import errors
from pyganeti.cli import options, session
from pyganeti.clients import luxi
from pyganeti.model.opcodes import base, table, testing

_PREFIX: Final = "TESTMSG="
_KIND: Final = "jqueue-test"
_PATIENCE: Final = 30.0
_STATUS: Final = {"expandnames": "waiting", "exec": "running", "logmsg": "running"}
_PRIORITIES: Final = (-21, -19, -11, -9, -1, 1, 9, 11, 18, 20)
"""Some that nobody may submit with."""

_TEXTS: Final = ("Hello World", "A", "", "B", "Foo|bar|baz")


@dataclass(frozen=True, slots=True)
class _Mode:
    """A job of opcodes of which those fail that are to, and how they end."""

    title: str
    fails: Sequence[bool]
    ends: Sequence[str]


_MODES: Final = (
    _Mode("job success", [False], ["success"]),
    _Mode("multiple successful opcodes", [False, False], ["success", "success"]),
    _Mode("job failure", [True], ["error"]),
    _Mode(
        "partial job failure",
        [False, False, True, False],
        ["success", "success", "error", "error"],
    ),
)


class Wrong(errors.Failure):
    """The queue does not do what it should."""


@click.command("test-jobqueue")
@click.option(
    "--priority",
    type=click.Choice(list(options.PRIORITIES)),
    default="normal",
    show_default=True,
    help="How urgent the jobs are.",
)
@click.pass_obj
def command(current: session.Session, *, priority: str) -> None:
    """Try the job queue: priorities, dependencies, messages, success and failure."""
    current.out("Testing job submission")
    for wrong in _PRIORITIES:
        _refused(current, wrong)
    current.out("Testing job dependencies")
    _depends(current)
    for mode in _MODES:
        current.out(f"Testing {mode.title}")
        _run(current, mode, options.PRIORITIES[priority])
    current.out("Job queue test successful")


def _refused(current: session.Session, priority: int) -> None:
    """Have a job refused for one of its opcodes' priority, alone and among others."""
    good = _wire(current, testing.TestDelay(duration=0.01))
    job = [good, {**good, "priority": priority}, good]
    for submit in (current.client.submit, lambda job: current.client.submit_many([[good], job])):
        try:
            submit(job)
        except errors.Failure:
            continue
        raise Wrong(f"an opcode with the priority {priority} was taken")


def _depends(current: session.Session) -> None:
    """Have a job wait for one that fails, as it should, and one that should not, fail itself."""
    client = current.client
    failing = _wire(current, testing.TestDelay(duration=-1))
    after = [
        _wire(current, testing.TestDelay(duration=0.01, depends=[(-number, [end])]))
        for number, end in ((1, "error"), (2, "success"))
    ]
    taken = client.submit_many([[failing], [after[0]], [after[1]]])
    numbers = [int(number) for is_taken, number in taken if is_taken]
    if len(numbers) != len(taken):
        raise Wrong(f"jobs that wait for others were not taken: {taken}")
    for number in numbers:
        with contextlib.suppress(errors.Failure):
            client.wait(number)
    found = [row[0] for row in client.query_jobs(numbers, ["status"])]
    if found != ["error", "success", "error"]:
        raise Wrong(f"jobs that wait for one that fails ended as {', '.join(map(str, found))}")


def _run(current: session.Session, mode: _Mode, priority: int) -> None:
    """Have a job run, look at it whenever it asks for it, and compare what it said."""
    texts = [f"Testing mode {mode.title}", *_TEXTS]
    job = [
        _wire(
            current,
            testing.TestJqueue(
                notify_waitlock=True, notify_exec=True, log_messages=texts, fail=fails,
                priority=priority,
            ),
        )
        for fails in mode.fails
    ]  # fmt: skip
    client = current.client
    number = client.submit(job)
    watcher = _Watcher(current, number)
    failure: errors.Failure | None = None
    results: list[Any] = []
    try:
        results = client.wait(number, watcher.hear)
    except Wrong:
        client.cancel(number, kill=True)
        raise
    except errors.Failure as error:
        failure = error
    if (failure is not None) != any(mode.fails):
        raise failure or Wrong(f"job {number} did not fail, as it should have")
    [[status, ends]] = client.query_jobs([number], ["status", "opstatus"])
    expected = "error" if any(mode.fails) else "success"
    if status != expected or list(ends) != list(mode.ends):
        raise Wrong(f"job {number} ended as {status} ({', '.join(ends)})")
    if failure is None and results != [True] * len(job):
        raise Wrong(f"job {number} answered {results}")
    ran = mode.fails.index(True) + 1 if any(mode.fails) else len(job)
    if watcher.texts != texts * ran:
        raise Wrong(f"job {number} said {watcher.texts}, not {texts * ran}")


class _Watcher:
    """Looks at a job whenever that asks for it."""

    def __init__(self, current: session.Session, number: int) -> None:
        self._layout = current.layout
        self._number = number
        self._count = 0
        self.texts: list[str] = []

    def hear(self, news: luxi.Message) -> None:
        """Take a message of the job's; raises Wrong if something is not as it should be."""
        if news.kind == _KIND:
            path, test, argument = news.text
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(_PATIENCE)
                line.connect(path)
                self._look(test, argument)
        elif isinstance(news.text, str) and news.text.startswith(_PREFIX):
            self.texts.append(news.text.removeprefix(_PREFIX))
            self._count += 1

    def _look(self, test: str, argument: int | None) -> None:
        # The session's own connection is waiting for the next message.
        with luxi.Client(self._layout) as client:
            [[status]] = client.query_jobs([self._number], ["status"])
        if status != _STATUS.get(test, status):
            raise Wrong(f"job {self._number} is {status} at {test}, not {_STATUS[test]}")
        if test == "startmsg":
            self._count = 0
        elif test == "logmsg" and self._count != argument:
            raise Wrong(f"{self._count} messages came of the {argument} that were sent")


def _wire(current: session.Session, op: base.Opcode) -> dict[str, Any]:
    return {**table.to_wire(op), "reason": current.trail(None)}
