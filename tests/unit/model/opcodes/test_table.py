import json
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.model.opcodes import instance, table, tags

REASON: list[Any] = [["test", "because", 1]]


def test_every_opcode_of_the_protocol_has_its_struct() -> None:
    assert len(table.BY_ID) == 75
    assert all(name.startswith("OP_") for name in table.BY_ID)


def test_a_recorded_opcode_goes_in_and_comes_out_the_same() -> None:
    recorded = json.loads(
        (Path(__file__).parents[3] / "golden/luxi/opcode-startup.json").read_text()
    )

    parsed = table.parse(recorded)

    assert json.loads(json.dumps(table.to_wire(parsed))) == recorded
    assert table.summary(parsed) == "INSTANCE_STARTUP(instance1.example.com)"


def test_defaults_are_filled_in() -> None:
    parsed = table.parse({"OP_ID": "OP_INSTANCE_SHUTDOWN", "instance_name": "a", "reason": REASON})

    assert isinstance(parsed, instance.InstanceShutdown)
    assert parsed.timeout == 120
    assert parsed.priority == 0


@pytest.mark.parametrize(
    ("described", "words"),
    [
        ([], "an object"),
        ({}, "OP_ID"),
        ({"OP_ID": 7}, "OP_ID"),
        ({"OP_ID": "OP_NOPE", "reason": []}, "no opcode OP_NOPE"),
        ({"OP_ID": "OP_CLUSTER_QUERY"}, "reason"),
        ({"OP_ID": "OP_INSTANCE_STARTUP", "reason": []}, "instance_name"),
        ({"OP_ID": "OP_TAGS_GET", "kind": "cow", "reason": []}, "kind"),
        ({"OP_ID": "OP_CLUSTER_QUERY", "reason": [], "colour": 1}, "colour"),
        ({"OP_ID": "OP_CLUSTER_QUERY", "reason": [], "priority": 20}, "priority"),
        (
            {"OP_ID": "OP_INSTANCE_GROW_DISK", "instance_name": "a", "disk": 16, "amount": 1}
            | {"reason": []},
            "disk",
        ),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(described: object, words: str) -> None:
    with pytest.raises(errors.BadInput, match=words):
        table.parse(described)


@pytest.mark.parametrize("kind", [instance.InstanceStartup, instance.InstanceShutdown])
def test_a_switch_of_our_own_is_on_the_wire_only_where_somebody_said_it(
    kind: type[instance.InstanceStartup] | type[instance.InstanceShutdown],
) -> None:
    assert "only_if_down" not in table.to_wire(kind(instance_name="a"))
    said = table.to_wire(kind(instance_name="a", only_if_down=True))
    assert said["only_if_down"] is True
    assert table.parse(said) == kind(instance_name="a", only_if_down=True)


def test_a_summary_without_anything_to_name_is_the_name() -> None:
    assert table.summary(tags.TagsSet(kind="cluster", tags=["x"])) == "TAGS_SET"
