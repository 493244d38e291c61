"""Questions answered from the configuration alone, and what the nodes are, and are not, asked."""

import asyncio
import json
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import answeringnodes, clusters
from pyganeti.base import errors
from pyganeti.masterd.locks import levels, manager
from pyganeti.masterd.queries import asking as askings
from pyganeti.masterd.queries import engine
from pyganeti.wire import luxi, luxierrors

GOLDEN = Path(__file__).parents[3] / "golden/luxi"
ROWS = list[list[Any]]


def values(answer: dict[str, Any]) -> ROWS:
    return [[value for _, value in row] for row in answer["data"]]


async def test_rows_come_in_the_order_in_which_people_read_names(make_engine: Any) -> None:
    answer = await make_engine(clusters.large(instances=12, nodes=3)).query("instance", ["name"])
    assert [name for [name] in values(answer)] == [f"web{n}.example.com" for n in range(1, 13)]


async def test_rows_asked_for_by_name_come_in_that_order(asking: engine.Engine) -> None:
    condition = ["|", ["=", "name", "web3"], ["=", "name", "web1.example.com"]]
    answer = await asking.query("instance", ["name"], condition)
    assert values(answer) == [["web3.example.com"], ["web1.example.com"]]


@pytest.mark.parametrize("what", ["instance", "node", "group", "network", "export"])
async def test_a_name_that_there_is_not_is_told(asking: engine.Engine, what: str) -> None:
    field = "node" if what == "export" else "name"
    with pytest.raises(errors.BadInput) as raised:
        await asking.query(what, [field], ["|", ["=", field, "nosuch"]])
    assert raised.value.code == "unknown_entity"


@pytest.mark.parametrize("what", ["job", "lock", "filter", "os", "cluster", "extstorage"])
async def test_there_a_name_that_there_is_not_gives_no_value(
    asking: engine.Engine, what: str
) -> None:
    field = {"job": "id", "filter": "uuid"}.get(what, "name")
    answer = await asking.query(what, [field], ["|", ["=", field, 99 if what == "job" else "x"]])
    assert answer["data"] == ([[(0, 99)]] if what == "job" else [])


async def test_a_number_is_nothings_name(asking: engine.Engine) -> None:
    with pytest.raises(luxierrors.WrongParameter, match="Invalid types in comparison"):
        await asking.query("instance", ["name"], ["=", "name", 5])


async def test_static_fields_ask_no_node(make_engine: Any) -> None:
    nodes = Nobody()
    asking = make_engine(clusters.furnished(), nodes=nodes)
    await asking.query("instance", ["name", "pnode", "be/memory", "disk.sizes", "nic.macs"])
    await asking.query("node", ["name", "pinst_cnt", "group", "ndp/ovs"])
    assert nodes.asked == []


async def test_a_condition_that_excludes_everything_asks_no_node(make_engine: Any) -> None:
    nodes = Nobody()
    asking = make_engine(clusters.furnished(), nodes=nodes)
    condition = ["&", ["=", "admin_state", "down"], ["=", "status", "running"]]
    assert (await asking.query("instance", ["status"], condition))["data"] == []
    assert nodes.asked == []


class Nobody:
    def __init__(self) -> None:
        self.asked: list[str] = []

    async def each(self, nodes: Any, name: str, *_: Any, **__: Any) -> dict[str, Any]:
        self.asked.append(name)
        return {}


def info(memory: int = 256, state: int = 0) -> dict[str, int]:
    return {"memory": memory, "vcpus": 2, "state": state, "time": 0}


LIVE = ["name", "status", "oper_state", "oper_ram", "oper_vcpus"]


async def test_instances_are_what_their_nodes_say(make_engine: Any) -> None:
    snapshot = clusters.small(nodes=5, instances=6)
    snapshot = clusters.replaced(
        snapshot,
        clusters.node(3, offline=True),
        clusters.instance(5, 5, admin_state="down"),
        msgspec.structs.replace(snapshot.cluster, enabled_user_shutdown=True),
    )
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        nodes.say("node1.example.com", "all_instances_info", {"web1.example.com": info()})
        nodes.say("node2.example.com", "all_instances_info", {"web3.example.com": info()})
        nodes.say("node3.example.com", "all_instances_info", {"x": info()})
        answer = await make_engine(snapshot, nodes=calling).query("instance", LIVE)
    assert answer["data"] == [
        [(0, "web1.example.com"), (0, "running"), (0, True), (0, 256), (0, 2)],
        [(0, "web2.example.com"), (0, "ERROR_down"), (0, False), (3, None), (3, None)],
        [(0, "web3.example.com"), (0, "ERROR_wrongnode"), (0, True), (0, 256), (0, 2)],
        [(0, "web4.example.com"), (0, "ERROR_nodeoffline"), (2, None), (4, None), (4, None)],
        [(0, "web5.example.com"), (0, "ERROR_nodedown"), (2, None), (2, None), (2, None)],
        [(0, "web6.example.com"), (0, "ADMIN_down"), (0, False), (3, None), (3, None)],
    ]


@pytest.mark.parametrize(
    ("cluster", "instance", "word"),
    [(True, True, "USER_down"), (True, False, "ERROR_down"), (False, True, "ERROR_down")],
)
async def test_a_shutdown_from_inside_is_the_users_where_both_switches_allow_it(
    make_engine: Any,
    cluster: bool,  # noqa: FBT001
    instance: bool,  # noqa: FBT001
    word: str,
) -> None:
    snapshot = clusters.small(nodes=1, instances=1)
    snapshot = clusters.replaced(
        snapshot,
        msgspec.structs.replace(snapshot.cluster, enabled_user_shutdown=cluster),
        clusters.instance(0, hvparams={"user_shutdown": instance}),
    )
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        nodes.say("node1.example.com", "all_instances_info", {"web1.example.com": info(0, 1)})
        answer = await make_engine(snapshot, nodes=calling).query("instance", LIVE)
    assert answer["data"][0][1:3] == [(0, word), (0, False)]


@pytest.mark.parametrize(
    "nonsense", [None, [], 5, {"web1.example.com": {}}, {"web1.example.com": {"memory": "x"}}]
)
async def test_a_node_that_talks_nonsense_is_one_that_does_not_answer(
    make_engine: Any, nonsense: Any
) -> None:
    snapshot = clusters.small(nodes=2, instances=2)
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        nodes.say("node1.example.com", "all_instances_info", nonsense)
        nodes.say("node2.example.com", "all_instances_info", {"web2.example.com": info()})
        answer = await make_engine(snapshot, nodes=calling).query("instance", ["status"])
    assert values(answer) == [["ERROR_nodedown"], ["running"]]


async def test_a_node_that_hangs_costs_no_more_than_its_time(
    make_engine: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(askings, "PATIENCE", 0.3)
    snapshot = clusters.small(nodes=3, instances=3)
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        for name in ("node1.example.com", "node2.example.com"):
            nodes.hang(name)
        nodes.say("node3.example.com", "all_instances_info", {"web3.example.com": info()})
        begun = time.monotonic()
        answer = await make_engine(snapshot, nodes=calling).query("instance", ["status"])
        taken = time.monotonic() - begun
    assert values(answer) == [["ERROR_nodedown"], ["ERROR_nodedown"], ["running"]]
    assert 0.3 <= taken < 5


async def test_only_nodes_that_matter_are_asked_and_each_once(make_engine: Any) -> None:
    snapshot = clusters.small(nodes=3, instances=6)
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        condition = ["&", ["=", "pnode", "node2"], ["=", "status", "running"]]
        nodes.say(
            "node2.example.com",
            "all_instances_info",
            {"web2.example.com": info(), "web5.example.com": info(state=1)},
        )
        answer = await make_engine(snapshot, nodes=calling).query(
            "instance", ["name", "oper_ram"], condition
        )
        assert nodes.calls("all_instances_info") == ["node2.example.com"]
        [(_, _, arguments)] = nodes.asked
    assert values(answer) == [["web2.example.com", 256]]
    assert arguments[0] == ["kvm"]
    assert arguments[1]["kvm"]["acpi"] is True


async def test_a_console_is_asked_for_only_when_it_is_wanted(make_engine: Any) -> None:
    snapshot = clusters.small(nodes=1, instances=1)
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        nodes.say("node1.example.com", "all_instances_info", {"web1.example.com": info()})
        nodes.say(
            "node1.example.com",
            "instance_console_info",
            lambda wanted: {name: {"instance": name, "kind": "msg"} for name in wanted},
        )
        asking = make_engine(snapshot, nodes=calling)
        await asking.query("instance", ["status"])
        assert nodes.calls("instance_console_info") == []
        answer = await asking.query("instance", ["console"])
        wanted = nodes.asked[-1][2][0]["web1.example.com"]
    assert values(answer) == [[{"instance": "web1.example.com", "kind": "msg"}]]
    assert sorted(wanted) == ["beParams", "group", "hvParams", "instance", "node"]
    assert wanted["instance"]["name"] == "web1.example.com"


async def test_nodes_are_what_they_say_of_themselves(make_engine: Any) -> None:
    snapshot = clusters.replaced(clusters.small(nodes=3), clusters.node(2, offline=True))
    hypervisor = {
        "memory_total": 4000, "memory_free": 3000, "memory_dom0": 500,
        "cpu_total": 8, "cpu_nodes": 1, "cpu_sockets": 1, "cpu_dom0": 1,
    }  # fmt: skip
    storage = {"type": "file", "name": "/x", "storage_free": 70.9, "storage_size": 100}
    fields = ["name", "bootid", "mfree", "mtotal", "ctotal", "dfree", "dtotal", "spfree"]
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        nodes.say("node1.example.com", "node_info", ["boot", [storage], [hypervisor]])
        answer = await make_engine(snapshot, nodes=calling).query("node", fields)
        units, hypervisors = nodes.asked[0][2]
    assert answer["data"] == [
        [(0, "node1.example.com"), (0, "boot"), (0, 3000), (0, 4000), (0, 8), (0, 70), (0, 100),
         (2, None)],
        [(0, "node2.example.com"), *[(2, None)] * 7],
        [(0, "node3.example.com"), *[(4, None)] * 7],
    ]  # fmt: skip
    assert units == [["file", snapshot.cluster.file_storage_dir, []]]
    assert hypervisors[0][0] == "kvm"


async def test_a_node_is_asked_no_more_than_has_to_be_known(make_engine: Any) -> None:
    snapshot = clusters.small(nodes=1)
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        nodes.say("node1.example.com", "node_info", ["boot", [], []])
        answer = await make_engine(snapshot, nodes=calling).query("node", ["bootid"])
        assert nodes.asked[0][2] == [[], []]
    assert values(answer) == [["boot"]]


async def test_exports_are_what_lies_on_nodes(make_engine: Any) -> None:
    snapshot = clusters.replaced(clusters.small(nodes=4), clusters.node(3, offline=True))
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        nodes.say("node1.example.com", "export_list", ["web1", "web2"])
        nodes.say("node2.example.com", "export_list", [])
        asking = make_engine(snapshot, nodes=calling)
        answer = await asking.query("export", ["node", "export"])
        old = await asking.query_old("export", ["node1"], ["node", "export"])
    assert answer["data"] == [
        [(0, "node1.example.com"), (0, "web1")],
        [(0, "node1.example.com"), (0, "web2")],
        [(0, "node3.example.com"), (2, None)],
        [(0, "node4.example.com"), (4, None)],
    ]
    assert old == [["node1.example.com", "web1"], ["node1.example.com", "web2"]]


def definition(name: str, *, good: bool = True, variants: Any = ("a", "b")) -> list[Any]:
    return [name, f"/os/{name}", good, "" if good else "broken", list(variants), [["p", "?"]], [20],
            True]  # fmt: skip


async def test_an_os_is_valid_where_all_nodes_have_it(make_engine: Any) -> None:
    snapshot = clusters.small(nodes=4)
    snapshot = clusters.replaced(
        snapshot,
        clusters.node(2, vm_capable=False),
        msgspec.structs.replace(
            snapshot.cluster, hidden_os=("image",), os_hvp={"image+b": {"kvm": {"acpi": False}}}
        ),
    )
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        nodes.say(
            "node1.example.com",
            "os_diagnose",
            [definition("image"), definition("bad"), definition("once")],
        )
        nodes.say(
            "node2.example.com",
            "os_diagnose",
            [definition("image", variants=["b", "c"]), definition("bad", good=False)],
        )
        fields = ["name", "valid", "hidden", "variants", "api_versions", "parameters", "os_hvp"]
        answer = await make_engine(snapshot, nodes=calling).query("os", fields)
        assert sorted(nodes.calls("os_diagnose")) == [
            f"node{number}.example.com" for number in (1, 2, 4)
        ]
    assert [row[:4] for row in values(answer)] == [
        ["bad", False, False, ["a", "b"]],
        ["image", True, True, ["b"]],
        ["once", False, False, ["a", "b"]],
    ]
    assert values(answer)[1][4:] == [[20], [("p", "?")], {"image+b": {"kvm": {"acpi": False}}}]


async def test_a_storage_provider_is_there_for_a_group_if_all_its_nodes_have_it(
    make_engine: Any,
) -> None:
    snapshot = clusters.small(nodes=2)
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as calling:
        one = ["shared", "/es/shared", True, "", [["p", "?"]]]
        nodes.say("node1.example.com", "extstorage_diagnose", [one])
        nodes.say("node2.example.com", "extstorage_diagnose", [one, ["x", "/es/x", True, "", []]])
        answer = await make_engine(snapshot, nodes=calling).query(
            "extstorage", ["name", "nodegroup_status", "parameters"]
        )
    assert values(answer) == [
        ["shared", {"default": True}, [("p", "?")]],
        ["x", {"default": False}, []],
    ]


async def test_locks_are_shown_with_who_holds_and_who_waits(make_engine: Any) -> None:
    locks = manager.Manager()
    wanted = {levels.Level.INSTANCE: levels.exclusive(["web1"])}
    held = await locks.acquire("7", wanted)
    waiting = asyncio.create_task(locks.acquire("8", wanted))
    await asyncio.sleep(0)
    asking = make_engine(clusters.small(), locks=locks)
    answer = await asking.query("lock", ["name", "mode", "owner", "pending"])
    held.release()
    (await waiting).release()
    assert values(answer) == [
        ["instance/web1", "exclusive", ["7"], [("exclusive", ["8"])]],
    ]
    assert (await asking.query("lock", ["name"]))["data"] == []


async def test_mirrored_disks_have_secondary_nodes(asking: engine.Engine) -> None:
    fields = ["pnode", "snodes", "snodes.group", "disk_usage", "disk_template"]
    answer = await asking.query("instance", fields, ["=", "name", "web2"])
    assert values(answer) == [
        ["node2.example.com", ["node3.example.com"], ["default"], 1152, "drbd"]
    ]
    counts = await asking.query("node", ["name", "pinst_cnt", "sinst_cnt", "sinst_list"])
    assert values(counts)[2] == ["node3.example.com", 1, 1, ["web2.example.com"]]


async def test_a_network_shows_its_addresses_and_connections(asking: engine.Engine) -> None:
    fields = ["map", "free_count", "reserved_count", "external_reservations", "group_list",
              "inst_list"]  # fmt: skip
    assert values(await asking.query("network", fields)) == [
        [
            "XXX....X",
            4,
            4,
            "10.0.0.0, 10.0.0.1, 10.0.0.7",
            [("default", "bridged", "br0", "-")],
            ["web1.example.com"],
        ]
    ]


async def test_old_questions_give_plain_rows(asking: engine.Engine) -> None:
    assert await asking.query_old("instance", ["web1", "nosuch"], ["name", "nic.ip/0"]) == [
        ["web1.example.com", None]
    ]
    uuid = clusters.instance_uuid(1)
    assert await asking.query_old("instance", [uuid], ["name"]) == [["web2.example.com"]]
    assert len(await asking.query_old("node", [], ["name"])) == 3
    assert await asking.query_old("job", [5, 5], ["id", "status"]) == [[5, None]]
    assert await asking.query_old("filter", ["nosuch"], ["uuid"]) == []


async def test_old_questions_refuse_fields_that_there_are_not(asking: engine.Engine) -> None:
    with pytest.raises(errors.BadInput, match="Unknown output fields selected: nosuch, x"):
        await asking.query_old("job", [1], ["nosuch", "id", "x"])


async def test_what_is_encoded_is_what_is_answered(asking: engine.Engine) -> None:
    for what in asking.resources:
        fields = [field["name"] for field in asking.query_fields(what)["fields"]]
        plain = await asking.query(what, fields)
        encoded = json.loads(msgspec.json.encode(await asking.query_encoded(what, fields)))
        assert encoded == json.loads(msgspec.json.encode(plain))


async def test_nothing_asked_for_gives_empty_rows(asking: engine.Engine) -> None:
    assert await asking.query("node", []) == {"fields": [], "data": [[], [], []]}


async def test_a_name_that_is_not_unicode_is_answered_readably(make_engine: Any) -> None:
    snapshot = clusters.replaced(clusters.small(), clusters.instance(0, tags=("a\udcff",)))
    encoded = await make_engine(snapshot).query_encoded("instance", ["tags"])
    assert json.loads(bytes(encoded))["data"][0] == [[0, ["a\\xff"]]]


async def test_a_wrong_condition_is_told_as_what_it_is(asking: engine.Engine) -> None:
    golden = json.loads((GOLDEN / "query-badfield-filter.json").read_text())
    with pytest.raises(luxierrors.WrongParameter) as raised:
        await asking.query(*golden["a"])
    assert luxierrors.encode(raised.value) == golden["r"]["result"]
    with pytest.raises(luxi.Unreadable):
        await asking.query("instance", ["name"], ["%"])


async def test_a_long_answer_gives_others_their_turn(make_engine: Any) -> None:
    asking = make_engine(clusters.large(instances=3000, nodes=10))
    fields = [field["name"] for field in asking.query_fields("instance")["fields"]]
    static = [name for name in fields if name not in {"status", "console", *LIVE[2:]}]
    turns = 0
    done = asyncio.Event()

    async def watch() -> None:
        nonlocal turns
        while not done.is_set():
            await asyncio.sleep(0)
            turns += 1

    watching = asyncio.create_task(watch())
    answer = await asking.query_encoded("instance", static)
    done.set()
    await watching
    assert len(bytes(answer)) > 1_000_000
    assert turns > 50


async def test_a_cluster_says_what_it_is(make_engine: Any) -> None:
    golden = json.loads((GOLDEN / "clusterinfo.json").read_text())["r"]["result"]
    told = json.loads(msgspec.json.encode(make_engine(clusters.recorded()).cluster_info()))
    assert list(told) == list(golden)
    assert told.pop("vcs_version") != golden.pop("vcs_version")
    assert told == golden


async def test_simple_settings_are_answered_in_the_order_asked(make_engine: Any) -> None:
    golden = json.loads((GOLDEN / "cfgvals.json").read_text())
    assert make_engine(clusters.recorded()).config_values(*golden["a"]) == golden["r"]["result"]


async def test_tags_are_those_of_the_thing(make_engine: Any) -> None:
    golden = json.loads((GOLDEN / "tags.json").read_text())
    asking = make_engine(clusters.recorded())
    assert asking.tags(*golden["a"]) == golden["r"]["result"]
    assert asking.tags("instance", "k1") == ["some", "tag"]
    assert asking.tags("nodegroup", "default") == []
    with pytest.raises(errors.BadInput):
        asking.tags("node", "nosuch")
    with pytest.raises(errors.BadInput, match="no tags of a disk"):
        asking.tags("disk", "x")


async def test_a_node_says_which_master_it_follows(make_engine: Any) -> None:
    snapshot = clusters.small()
    standing = {"epoch": 7, "master": "node1.example.com", "config": None, "queue": None}
    standing["prefix"] = "/ganeti/x/"
    nobody = {**standing, "epoch": 0, "master": "", "prefix": ""}
    async with answeringnodes.started(snapshot.nodes.values()) as nodes, nodes.asking() as asked:
        nodes.say("node1.example.com", "master_standing", standing)
        nodes.say("node2.example.com", "master_standing", nobody)
        nodes.say("node3.example.com", "master_standing", "nonsense")
        answer = await make_engine(snapshot, nodes=asked).query(
            "node", ["epoch", "follows", "store"], None
        )
        assert nodes.calls("node_info") == []
    assert answer["data"] == [
        [(0, 7), (0, "node1.example.com"), (0, "etcd")],
        [(2, None), (2, None), (0, "files")],
        [(2, None), (2, None), (2, None)],
    ]
