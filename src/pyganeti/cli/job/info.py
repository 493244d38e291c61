"""The sub-command ``gnt-job info``."""

from typing import Any

import click

from pyganeti.cli import completing, details, session, tables
from pyganeti.cli.job import selecting
from pyganeti.words import trails

_FIELDS = [
    "id",
    "status",
    "ops",
    "opresult",
    "opstatus",
    "oplog",
    "opstart",
    "opexec",
    "opend",
    "received_ts",
    "start_ts",
    "end_ts",
]


@click.command()
@click.argument("jobs", nargs=-1, shell_complete=completing.jobs, required=True)
@click.option("--json", "as_json", is_flag=True, help="Print JSON, an object a line.")
@click.pass_obj
def command(current: session.Session, *, jobs: tuple[str, ...], as_json: bool) -> int:
    """Tell everything about jobs: what they were to do, how it went, what they said."""
    missing = 0
    for number, row in zip(
        selecting.numbers(jobs),
        current.client.query_jobs(selecting.numbers(jobs), _FIELDS),
        strict=True,
    ):
        if row[1] is None:
            missing += 1
            current.tell(f"{current.program}: there is no job {number}")
            continue
        told = _about(dict(zip(_FIELDS, row, strict=True)))
        if as_json:
            current.out_json(details.plain(told))
        else:
            for line in details.lines(told):
                current.out(line)
    return 1 if missing else 0


def _about(job: dict[str, Any]) -> details.Pairs:
    received, started, ended = job["received_ts"], job["start_ts"], job["end_ts"]
    author = trails.author(job["ops"][0].get("reason"))
    told: list[tuple[str, Any]] = [
        ("Job ID", job["id"]),
        ("Status", job["status"]),
        ("Received", _moment(received)),
        *([("Submitted", author)] if author else []),
        ("Processing start", _moment(started, received)),
        ("Processing end", _moment(ended, started)),
        ("Total processing time", f"{_passed(received, ended):.6f} seconds" if ended else "N/A"),
    ]
    opcodes = []
    for index, opcode in enumerate(job["ops"]):
        log = [
            [("Time", _moment(moment)), ("Content", [serial, kind, text])]
            for serial, moment, kind, text in job["oplog"][index]
        ]
        opcodes.append(
            [
                ("Opcode", opcode["OP_ID"]),
                ("Status", job["opstatus"][index]),
                ("Processing start", _moment(job["opstart"][index])),
                ("Execution start", _moment(job["opexec"][index])),
                ("Processing end", _moment(job["opend"][index])),
                ("Input fields", opcode),
                ("Result", job["opresult"][index]),
                ("Execution log", log),
            ]
        )
    return [*told, ("Opcodes", opcodes)]


def _moment(moment: Any, since: Any = None) -> str:  # noqa: ANN401 - [seconds, microseconds] or none
    if not moment:
        return "N/A"
    text = f"{tables.moment(moment)}.{moment[1]:06d}"
    return f"{text} (delta {_passed(since, moment):.6f}s)" if since else text


def _passed(begin: Any, end: Any) -> float:  # noqa: ANN401 - [seconds, microseconds]
    return float(end[0] - begin[0] + (end[1] - begin[1]) / 1e6)
