"""Filter rules and limits in reasons: which jobs begin, wait, or are canceled."""

from collections.abc import Mapping
from typing import Any

import pytest

from lab import carriers, jobs
from pyganeti.masterd.jobs import rules, submission
from pyganeti.model.config.filterrule import FilterRule
from pyganeti.wire import jobfile

op = carriers.opcode


def rule(
    action: Any, *predicates: Any, name: str = "a", priority: int = 0, watermark: int = 10
) -> FilterRule:
    return FilterRule(
        uuid=name,
        action=action,
        predicates=predicates,
        priority=priority,
        watermark=watermark,
    )


def job(*opcodes: Mapping[str, Any], number: int = 7) -> jobfile.Job:
    return submission.make(number, opcodes or [op()], (), 1000.0)


CREATE = op(OP_ID="OP_INSTANCE_CREATE", instance_name="web1", beparams={"memory": 512}, tags=["x"])


@pytest.mark.parametrize(
    ("predicate", "applies"),
    [
        (["jobid", ["=", "id", 7]], True),
        (["jobid", ["!=", "id", 7]], False),
        (["jobid", ["<", "id", "watermark"]], True),
        (["jobid", [">", "id", "watermark"]], False),
        (["jobid", ["!", [">", "id", "watermark"]]], True),
        (["jobid", ["=", "id", "7"]], False),
        (["jobid", ["!", ["=", "nothing", 7]]], False),
        (["jobid", ["=~", "id", "7"]], False),
        (["jobid", ["|", ["=", "id", 7], ["=", "id", "x"]]], False),
        (["opcode", ["=", "OP_ID", "OP_INSTANCE_CREATE"]], True),
        (["opcode", ["=", "OP_ID", "OP_TEST_DELAY"]], False),
        (["opcode", ["&", ["=~", "instance_name", "^web"], [">=", "beparams.memory", 512]]], True),
        (["opcode", ["<", "beparams.memory", 512]], False),
        (["opcode", ["?", "beparams"]], True),
        (["opcode", ["=[]", "tags", "x"]], True),
        (["opcode", ["=[]", "instance_name", "w"]], False),
        (["opcode", ["=", "beparams.memory.x", 1]], False),
        (["reason", ["=", "source", "gnt:client:gnt-debug"]], True),
        (["reason", ["=", "reason", "delay"]], True),
        (["reason", [">", "timestamp", 0]], True),
        (["reason", ["=~", "reason", "delay"]], False),
        (["reason", ["=", "source", "gnt:user"]], False),
        (["nonsense", None], False),
    ],
)
def test_a_predicate_is_true_or_false_or_has_no_answer(predicate: Any, applies: bool) -> None:  # noqa: FBT001
    found = rules.applying([rule("PAUSE", tuple(predicate))], job(CREATE))
    assert (found is not None) is applies


def test_the_first_in_order_that_does_not_go_on_applies() -> None:
    every = ("jobid", None)
    later = rule("PAUSE", every, name="b", priority=1)
    younger = rule("ACCEPT", every, name="a", watermark=11)
    older = rule("CONTINUE", every, name="z", watermark=9)
    equal = rule("REJECT", every, name="b", watermark=11)
    order = rules.ordered([later, equal, younger, older])
    assert [(r.uuid, r.priority) for r in order] == [("z", 0), ("a", 0), ("b", 0), ("b", 1)]
    assert rules.applying(order, job()) is younger
    assert rules.applying(order[2:], job()) is equal
    assert rules.applying([older], job()) is None


def test_reasons_make_buckets() -> None:
    trail = [["x", "rate-limit:2:my bucket:a", 1], ["y", "rate-limit:0:none", 1], ["z", "no", 1]]
    assert rules.buckets(job(op(reason=trail), op(reason=trail))) == {"2:my bucket:a": 2}


async def test_what_is_paused_waits_until_the_rules_are_others(opened: jobs.Opening) -> None:
    current: dict[str, FilterRule] = {"a": rule("PAUSE", ("opcode", ["=", "comment", "log=x"]))}
    async with opened(rules=lambda: current) as (found, _):
        paused = await found.submit([op("log=x")])
        other = await found.submit([op()])
        assert await jobs.ended(found, other) == ["success"]
        assert await jobs.state(found, paused) == "queued"
        current = {}
        found.reconsider()
        assert await jobs.ended(found, paused) == ["success"]


async def test_what_is_rejected_is_canceled_also_if_it_was_queued_before(
    opened: jobs.Opening,
) -> None:
    current: dict[str, FilterRule] = {}
    async with opened(rules=lambda: current, limit=lambda: 1) as (found, carrier):
        first = await found.submit([op("hold")])
        queued = await found.submit([op("log=x")])
        await carrier.arrived("begin", first)
        current = {"a": rule("REJECT", ("opcode", ["=~", "comment", "log"]))}
        found.reconsider()
        assert await jobs.ended(found, queued) == ["canceled"]
        carrier.let_go(first)
        after = await found.submit([op("log=y")])
        assert await jobs.ended(found, first, after) == ["success", "canceled"]
        assert carrier.done("begin") == [first]


@pytest.mark.parametrize("by", ["rule", "reason"])
async def test_only_so_many_of_a_kind_run_at_a_time_and_hold_nobody_else_up(
    opened: jobs.Opening, by: str
) -> None:
    current = (
        {"a": rule(("RATE_LIMIT", 2), ("opcode", ["=", "priority", -10]))} if by == "rule" else {}
    )
    reason = [["gnt:user", "rate-limit:2:x", 1]]
    limited = op("hold", priority=-10, reason=reason if by == "reason" else [])
    async with opened(rules=lambda: current) as (found, carrier):
        numbers = [n for _, n in await found.submit_many([[limited]] * 4)]
        other = await found.submit([op()])
        assert await jobs.ended(found, other) == ["success"]
        states = [await jobs.state(found, n) for n in numbers]
        assert states == ["running", "running", "queued", "queued"]
        for number in numbers:
            carrier.let_go(number)
        assert await jobs.ended(found, *numbers) == ["success"] * 4
        assert carrier.most_at_once <= 3
