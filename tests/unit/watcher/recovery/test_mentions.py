from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pyganeti.model.cause import Cause
from pyganeti.watcher.recovery import mentions
from pyganeti.watcher.recovery.mentions import Job
from pyganeti.wire import reasontrail

NAME, UUID, NODE, GROUP = "web1.example.com", "u-1", "node1.example.com", "default"


def about(*opcodes: dict[str, Any], state: str = "waiting") -> list[int]:
    job = Job(7, opcodes, [state] * len(opcodes))
    return mentions.of([job]).about(NAME, UUID, NODE, GROUP)


@pytest.mark.parametrize(
    "opcode",
    [
        {"OP_ID": "OP_INSTANCE_REBOOT", "instance_name": NAME},
        {"OP_ID": "OP_INSTANCE_REBOOT", "instance_name": "web1"},
        {"OP_ID": "OP_INSTANCE_REBOOT", "instance_name": "WEB1.example"},
        {"OP_ID": "OP_INSTANCE_REBOOT", "instance_name": "old-name", "instance_uuid": UUID},
        {"OP_ID": "OP_BACKUP_EXPORT", "instance_name": NAME},
        {"OP_ID": "OP_INSTANCE_MULTI_ALLOC", "instances": [{"instance_name": NAME}]},
        {"OP_ID": "OP_CLUSTER_REPAIR_DISK_SIZES", "instances": [NAME]},
        {"OP_ID": "OP_TAGS_SET", "kind": "instance", "name": NAME, "tags": ["x"]},
        {"OP_ID": "OP_NODE_MIGRATE", "node_name": NODE},
        {"OP_ID": "OP_NODE_EVACUATE", "node_name": "node1"},
        {"OP_ID": "OP_NODE_POWERCYCLE", "node_name": NODE},
        {"OP_ID": "OP_NODE_SET_PARAMS", "node_name": NODE, "offline": True},
        {"OP_ID": "OP_OOB_COMMAND", "node_names": ["node9", NODE]},
        {"OP_ID": "OP_GROUP_EVACUATE", "group_name": GROUP},
    ],
)
def test_a_job_is_about_an_instance_that_it_names_moves_or_stops(opcode: dict[str, Any]) -> None:
    assert about(opcode) == [7]
    assert about({"OP_ID": "OP_TEST_DELAY"}, opcode) == [7]
    assert about(opcode, state="success") == []


@pytest.mark.parametrize(
    "opcode",
    [
        {"OP_ID": "OP_INSTANCE_REBOOT", "instance_name": "web"},
        {"OP_ID": "OP_INSTANCE_REBOOT", "instance_name": "web1.other"},
        {"OP_ID": "OP_INSTANCE_QUERY_DATA", "instances": [NAME]},
        {"OP_ID": "OP_INSTANCE_CONSOLE", "instance_name": NAME},
        {"OP_ID": "OP_NODE_QUERY_STORAGE", "node_name": NODE, "nodes": [NODE]},
        {"OP_ID": "OP_TAGS_SET", "kind": "node", "name": NAME, "tags": ["x"]},
        {"OP_ID": "OP_CLUSTER_VERIFY"},
        {"OP_ID": 5, "instance_name": None, "instances": 7},
        {},
    ],
)
def test_other_jobs_are_about_others(opcode: dict[str, Any]) -> None:
    assert about(opcode) == []


def restart(cause: str, attempt: int) -> list[list[Any]]:
    words = reasontrail.recovery_text(reasontrail.Recovery(cause, attempt, "k"))
    return [["gnt:watcher", words, 1]]


def job(number: int, opcode: dict[str, Any], state: str, result: Any = None) -> Job:
    return Job(number, [opcode], [state], [result], float(number), [float(number)])


def startup(reason: list[list[Any]]) -> dict[str, Any]:
    return {"OP_ID": "OP_INSTANCE_STARTUP", "instance_name": NAME, "reason": reason}


def test_what_was_tried_is_told_by_the_queue() -> None:
    found = mentions.attempts(
        [
            job(2, startup(restart("crashed", 2)), "error", ["OpExecError", ["x"]]),
            job(1, startup(restart("killed", 1)), "success"),
            job(3, startup(restart("killed", 3)), "running"),
            job(4, startup(restart("killed", 4)), "success", "web1 runs"),
            job(5, startup([["gnt:watcher", "", 1]]), "success"),
            job(6, {"OP_ID": "OP_INSTANCE_SHUTDOWN", "reason": restart("killed", 1)}, "success"),
        ]
    )
    assert found == {
        NAME: [
            mentions.Attempt(1, 1.0, Cause.KILLED),
            mentions.Attempt(2, 2.0, Cause.CRASHED),
            mentions.Attempt(3, 3.0, Cause.KILLED),
            mentions.Attempt(5, 5.0, Cause.UNKNOWN),
        ]
    }


@pytest.mark.parametrize(
    "forgiving",
    [
        startup([["gnt:user", "mended", 1]]),
        {
            "OP_ID": "OP_TAGS_DEL",
            "kind": "instance",
            "name": NAME,
            "tags": ["pyganeti:gave-up:1700000000"],
        },
    ],
)
def test_what_a_person_did_makes_earlier_tries_count_no_more(forgiving: dict[str, Any]) -> None:
    before = [job(n, startup(restart("killed", n)), "success") for n in (1, 2)]
    after = job(9, startup(restart("killed", 1)), "success")
    found = mentions.attempts([*before, job(5, forgiving, "success"), after])
    assert [one.job for one in found[NAME]] == [9]
    found = mentions.attempts([*before, job(5, forgiving, "error"), after])
    assert [one.job for one in found[NAME]] == [1, 2, 9]


@pytest.mark.parametrize(
    ("kind", "counts"),
    [
        ("OP_INSTANCE_STARTUP", True),
        ("OP_INSTANCE_FAILOVER", True),
        ("OP_INSTANCE_MIGRATE", True),
        ("OP_INSTANCE_SHUTDOWN", False),
        ("OP_INSTANCE_SET_PARAMS", False),
    ],
)
def test_when_it_was_last_to_be_started_is_told_by_the_queue(kind: str, *, counts: bool) -> None:
    opcode = {"OP_ID": kind, "instance_name": "web1"}
    jobs = [
        Job(1, [opcode], ["success"], [None], 1.0, [5.0]),
        Job(2, [opcode], ["error"], [None], 2.0, [9.0]),
        Job(3, [opcode], ["queued"], [None], 3.0, [0.0]),
        Job(4, [{**opcode, "instance_name": "web2"}], ["success"], [None], 4.0, [99.0]),
    ]
    found = mentions.begun(jobs)
    assert found.last(NAME) == (9.0 if counts else 0.0)
    assert found.last("web9.example.com") == 0.0


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text("opx_", max_size=4),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["OP_ID", "instance_name", "instances", "reason", "tags", "kind", "name"]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(st.dictionaries(st.sampled_from(["OP_ID", "instances", "reason", "node_name"]), _JSON))
def test_no_opcode_is_too_strange(opcode: dict[str, Any]) -> None:
    about(opcode)
    for kind in ("OP_INSTANCE_STARTUP", "OP_TAGS_DEL"):
        mentions.attempts([job(1, {**opcode, "OP_ID": kind}, "success")])
        mentions.begun([job(1, {**opcode, "OP_ID": kind}, "success")])
