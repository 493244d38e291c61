"""Commands that need no instance, on a cluster of one node that all tests share."""

import json
from collections.abc import Iterator

import pytest

from lab.cluster import clusters, founding, machines, namespaces

pytestmark = [pytest.mark.root, pytest.mark.xdist_group("system-small-commands")]


@pytest.fixture(scope="module")
def cluster() -> Iterator[clusters.Cluster]:
    if why_not := namespaces.why_not():
        pytest.skip(why_not)
    with clusters.Cluster(1, founded=False) as made:
        done = made.on(made.master, "gnt-cluster", "init", founding.NAME, within=60)
        assert done.returncode == 0, done.stderr
        yield made


@pytest.fixture(autouse=True)
def nothing_left() -> None:
    """Look for nothing: the cluster is these tests' own, and goes with them."""


@pytest.fixture
def node(cluster: clusters.Cluster) -> machines.Machine:
    return cluster.master


def said(node: machines.Machine, *line: str, code: int = 0) -> str:
    done = node.run(*line)
    assert done.returncode == code, (done.stdout, done.stderr)
    assert "Traceback" not in done.stderr
    return done.stdout if code == 0 else done.stderr


def test_tags_are_given_found_and_taken(node: machines.Machine) -> None:
    said(node, "gnt-cluster", "add-tags", "b", "a")
    said(node, "gnt-node", "add-tags", node.port, "x")

    assert said(node, "gnt-cluster", "list-tags").split() == ["a", "b"]
    assert json.loads(said(node, "gnt-node", "list-tags", "--json", node.name)) == ["x"]
    assert said(node, "gnt-cluster", "search-tags", "[ax]").splitlines() == [
        "/cluster a",
        f"/nodes/{node.name} x",
    ]
    said(node, "gnt-cluster", "remove-tags", "a", "b")
    assert "'a' not found" in said(node, "gnt-cluster", "remove-tags", "a", code=1)


def test_the_os_that_comes_along_is_listed(node: machines.Machine) -> None:
    assert said(node, "gnt-os", "list", "--no-headers").split() == ["image"]
    assert f"Node: {node.name}, status: VALID" in said(node, "gnt-os", "diagnose")
    [info] = [json.loads(line) for line in said(node, "gnt-os", "info", "--json").splitlines()]
    assert info["name"] == "image"
    assert "no OS definition nosuch" in said(node, "gnt-os", "info", "nosuch", code=1)


def test_the_command_that_would_make_a_group_is_printed(node: machines.Machine) -> None:
    assert said(node, "gnt-group", "show-ispecs-cmd").split()[:2] == ["gnt-group", "add"]
    assert "no node group" in said(node, "gnt-group", "show-ispecs-cmd", "nosuch", code=1)


def test_the_queue_is_drained_and_undrained(node: machines.Machine) -> None:
    said(node, "gnt-cluster", "queue", "drain")
    assert "is set" in said(node, "gnt-cluster", "queue", "info")
    assert "drain" in said(node, "gnt-debug", "delay", "0.01", code=1)
    said(node, "gnt-cluster", "queue", "undrain")
    said(node, "gnt-debug", "delay", "0.01")


def test_the_watcher_rests_and_goes_on(node: machines.Machine) -> None:
    assert "paused until" in said(node, "gnt-cluster", "watcher", "pause", "10m")
    assert "paused until" in said(node, "gnt-cluster", "watcher", "info")
    said(node, "gnt-cluster", "watcher", "continue")
    assert "not paused" in said(node, "gnt-cluster", "watcher", "info")


def test_jobs_are_listed_told_of_waited_for_and_archived(node: machines.Machine) -> None:
    number = said(node, "gnt-debug", "delay", "0.05", "--submit").split()[-1]

    said(node, "gnt-job", "wait", number)
    assert said(
        node, "gnt-job", "list", "--no-headers", "--separator", " ", "-o", "id,status", number
    ).split() == [number, "success"]
    told = json.loads(said(node, "gnt-job", "info", "--json", number))
    assert told["Status"] == "success"
    assert told["Opcodes"][0]["Opcode"] == "OP_TEST_DELAY"
    said(node, "gnt-job", "archive", number)
    assert "no ended job" in said(node, "gnt-job", "archive", number, code=1)
    assert "there is no job 99999" in said(node, "gnt-job", "info", "99999", code=1)


def test_a_waiting_job_is_cancelled_and_a_failed_one_fails_who_waits(
    node: machines.Machine,
) -> None:
    node.run("gnt-job", "list")
    number = said(node, "gnt-debug", "delay", "60", "--submit", "--priority", "low").split()[-1]
    said(node, "gnt-job", "cancel", "--kill", "--yes-do-it", number)

    done = node.run("gnt-job", "wait", number)

    assert done.returncode == 1
    assert done.stderr.startswith("gnt-job: ")


@pytest.mark.parametrize(
    "line",
    [
        ("gnt-node", "list", "nosuch ="),
        ("gnt-job", "list", "--running", "--separator"),
        ("gnt-cluster", "lst"),
        ("gnt-debug", "delay", "-1"),
        ("gnt-debug", "delay", "much"),
        ("gnt-debug", "locks", "-o", "nosuch"),
        ("gnt-node", "list", "-o", "nosuch"),
        ("gnt-node", "modify", "-O", "maybe", "node1"),
        ("gnt-node", "powercycle", "node1"),
        ("gnt-instance", "remove", "nosuch"),
        ("gnt-instance", "modify", "nosuch"),
        ("gnt-instance", "add"),
        ("gnt-job", "wait", "one"),
    ],
)
def test_a_mistake_gets_one_line(node: machines.Machine, line: list[str]) -> None:
    done = node.run(*line)

    assert done.returncode != 0
    [said_] = done.stderr.splitlines()
    assert said_.startswith(f"{line[0]}: ")


def test_programs_get_what_came_of_a_job(node: machines.Machine) -> None:
    assert json.loads(said(node, "gnt-debug", "delay", "0.01", "--json")) is None
    line = ("gnt-debug", "delay", "0.01", "--json", "--print-jobid")
    number, result = map(json.loads, said(node, *line).splitlines())
    assert result is None
    assert said(node, "gnt-job", "list", "--no-headers", "-o", "status", str(number)) == "success\n"


def test_programs_get_json_and_separators(node: machines.Machine) -> None:
    rows = [json.loads(line) for line in said(node, "gnt-node", "list", "--json").splitlines()]
    assert [row["name"] for row in rows] == [node.name]
    line = said(node, "gnt-node", "list", "--no-headers", "--separator=:", "-o", "name,offline")
    assert line == f"{node.name}:N\n"
    assert said(node, "gnt-node", "list", "--no-headers", "name =* 'nosuch*'") == ""


def completed(node: machines.Machine, *words: str) -> list[str]:
    """Return what a shell would offer for the last word."""
    name = words[0].replace("-", "_").upper()
    asked = (f"COMP_WORDS={' '.join(words)}", f"COMP_CWORD={len(words) - 1}")
    done = node.run("env", *asked, f"_{name}_COMPLETE=bash_complete", words[0])
    assert done.returncode == 0, done.stderr
    assert not done.stderr
    return [line.removeprefix("plain,") for line in done.stdout.splitlines()]


def test_a_shell_completes_live_names(node: machines.Machine) -> None:
    said(node, "gnt-node", "add-tags", node.name, "given")
    number = said(node, "gnt-debug", "delay", "0.01", "--submit").split()[-1]

    assert completed(node, "gnt-node", "list", node.name[:3]) == [node.name]
    assert completed(node, "gnt-group", "list-tags", "def") == ["default"]
    assert completed(node, "gnt-node", "remove-tags", node.name, "gi") == ["given"]
    assert completed(node, "gnt-node", "list", "-o", "name,pinst_c") == ["name,pinst_cnt"]
    assert number in completed(node, "gnt-job", "info", number)
    said(node, "gnt-node", "remove-tags", node.name, "given")


def test_the_job_queue_is_tried_out(node: machines.Machine) -> None:
    told = said(node, "gnt-debug", "test-jobqueue")

    assert told.splitlines()[-1] == "Job queue test successful"
    assert "Testing partial job failure" in told


def test_secret_parameters_arrive_and_are_not_kept(node: machines.Machine) -> None:
    told = said(node, "gnt-debug", "test-osparams", "--os-parameters-secret", "key=tell-nobody")

    assert "Secret OS parameters: {'key': 'tell-nobody'}" in told
    assert "secret parameters" in said(
        node, "gnt-debug", "submit-job", _job_file(node, {"OP_ID": "OP_TEST_OS_PARAMS"}), code=1
    )


def _job_file(node: machines.Machine, *opcodes: object) -> str:
    path = node.layout.state_dir / "job.json"
    path.write_text(json.dumps(opcodes))
    return str(path)


def test_a_restricted_command_runs_on_nodes_by_a_job(node: machines.Machine) -> None:
    directory = node.layout.config_dir / "restricted-commands"
    directory.mkdir(mode=0o755, exist_ok=True)
    script = directory / "hello"
    script.write_text("#!/bin/sh\necho hello\n")
    script.chmod(0o755)
    ops = [
        {"OP_ID": "OP_RESTRICTED_COMMAND", "nodes": [node.name], "command": name}
        for name in ("hello", "nosuch")
    ]

    said(node, "gnt-debug", "submit-job", _job_file(node, *ops))

    [last, *_] = sorted(
        map(int, said(node, "gnt-job", "list", "--no-headers", "-o", "id").split()), reverse=True
    )
    told = json.loads(said(node, "gnt-job", "info", "--json", str(last)))
    results = [op["Result"] for op in told["Opcodes"]]
    assert results[0] == [[True, "hello\n"]]
    assert results[1][0][0] is False
    assert "nosuch" in results[1][0][1]


def test_groups_are_added_changed_renamed_filled_and_removed(node: machines.Machine) -> None:
    def groups() -> list[str]:
        listed = said(node, "gnt-group", "list", "--no-headers", "--separator=:", "-o",
                      "name,node_cnt,alloc_policy")  # fmt: skip
        return listed.splitlines()

    said(node, "gnt-group", "add", "--alloc-policy", "last_resort",
         "--node-parameters", "spindle_count=4", "rack2")  # fmt: skip
    assert groups() == ["default:1:preferred", "rack2:0:last_resort"]
    assert "already exists" in said(node, "gnt-group", "add", "rack2", code=1)

    told = json.loads(said(node, "gnt-group", "info", "--json", "rack2"))
    assert told["Node parameters"]["spindle_count"] == 4
    assert told["Node parameters"]["ssh_port"] == "default (22)"
    said(node, "gnt-group", "modify", "--alloc-policy", "preferred",
         "--node-parameters", "spindle_count=default", "-D", "rbd:pool=vms",
         "--ipolicy-vcpu-ratio", "2.5", "rack2")  # fmt: skip
    told = json.loads(said(node, "gnt-group", "info", "--json", "rack2"))
    assert told["Node parameters"]["spindle_count"] == "default (1)"
    assert told["Disk parameters"]["rbd"]["pool"] == "vms"
    assert told["Instance policy"]["vcpu-ratio"] == 2.5
    assert "Node group: rack2" in said(node, "gnt-group", "info")

    said(node, "gnt-group", "rename", "rack2", "rack3")
    said(node, "gnt-group", "assign-nodes", "rack3", node.name)
    assert groups() == ["default:0:preferred", "rack3:1:preferred"]
    assert "not empty" in said(node, "gnt-group", "remove", "rack3", code=1)
    said(node, "gnt-group", "assign-nodes", "default", node.name)
    said(node, "gnt-group", "remove", "--dry-run", "rack3")
    said(node, "gnt-group", "remove", "rack3")
    assert groups() == ["default:1:preferred"]
    assert "not empty" in said(node, "gnt-group", "remove", "default", code=1)


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["add", "--node-parameters", "colour=red", "x"], "'colour'"),
        (["add", "-D", "rbd:colour=red", "x"], "'colour'"),
        (["add", "--ipolicy-disk-templates", "paper", "x"], "no disk templates"),
        (["modify", "default"], "nothing to change"),
        (["modify", "--alloc-policy", "preferred", "nosuch"], "not known"),
        (["info", "nosuch"], "no node group"),
        (["rename", "default", "default"], "already exists"),
        (["assign-nodes", "default", "nosuch"], "not known"),
    ],
)
def test_a_group_cannot_be_like_that(node: machines.Machine, line: list[str], words: str) -> None:
    assert words in said(node, "gnt-group", *line, code=1)
    assert said(node, "gnt-group", "list", "--no-headers", "-o", "name").split() == ["default"]


def test_an_os_gets_parameters_and_is_hidden(node: machines.Machine) -> None:
    def listed() -> list[str]:
        return said(node, "gnt-os", "list", "--no-headers").split()

    said(node, "gnt-os", "modify", "-H", "kvm:acpi=no", "-O", "sha256=unchecked",
         "--hidden", "yes", "image")  # fmt: skip
    config = json.loads((node.layout.state_dir / "config.data").read_text())["cluster"]
    assert config["os_hvp"]["image"]["kvm"]["acpi"] is False
    assert config["osparams"]["image"] == {"sha256": "unchecked"}
    assert config["hidden_os"] == ["image"]
    assert listed() == []
    said(node, "gnt-os", "modify", "-O", "-sha256", "--hidden", "no", "image")
    assert listed() == ["image"]
    assert "nothing to change" in said(node, "gnt-os", "modify", "image", code=1)


def test_networks_are_added_connected_changed_and_removed(node: machines.Machine) -> None:
    def told() -> dict[str, object]:
        found: dict[str, object] = json.loads(said(node, "gnt-network", "info", "--json", "lan"))
        return found

    said(
        node, "gnt-network", "add", "--network", "192.0.2.0/29", "--gateway", "192.0.2.1",
        "--add-reserved-ips", "192.0.2.5", "--mac-prefix", "aa:bb:cc", "--tags", "x",
        "--no-conflicts-check", "lan",
    )  # fmt: skip
    assert "already exists" in said(
        node, "gnt-network", "add", "--network", "198.51.100.0/29", "lan", code=1
    )
    about = told()
    assert (about["Subnet"], about["Size"], about["Free"]) == ("192.0.2.0/29", 8, 4)
    assert about["Usage map"] == "XX...X.X"
    assert about["tags"] == ["x"]

    said(node, "gnt-network", "connect", "-N", "mode=bridged,link=br0", "lan", "default")
    assert told()["connected to node groups"] == {"default": "mode:bridged link:br0 vlan:"}
    assert "still connected" in said(node, "gnt-network", "remove", "lan", code=1)
    said(node, "gnt-network", "modify", "--remove-reserved-ips", "192.0.2.5", "lan")
    said(node, "gnt-network", "modify", "--gateway", "192.0.2.6", "--mac-prefix", "none", "lan")
    about = told()
    assert (about["Usage map"], about["MAC address prefix"]) == ("X.....XX", "-")
    said(node, "gnt-network", "disconnect", "lan")
    said(node, "gnt-network", "remove", "lan")
    assert said(node, "gnt-network", "list", "--no-headers") == ""


def test_the_nodes_addresses_are_kept_from_instances(node: machines.Machine) -> None:
    range_ = node.address.rsplit(".", 1)[0] + ".0/24"
    told = said(node, "gnt-network", "add", "--network", range_, "own")

    assert f"Reserved IP address of node '{node.name}' ({node.address})" in told
    about = json.loads(said(node, "gnt-network", "info", "--json", "own"))
    assert node.address in about["externally reserved IPs"]
    said(node, "gnt-network", "remove", "own")


@pytest.mark.parametrize(
    ("line", "words"),
    [
        (["add", "--network", "192.0.2.1/24", "x"], "no IPv4 network"),
        (["add", "--network", "10.0.0.0/8", "x"], "at most a /16"),
        (["add", "--network", "192.0.2.0/31", "x"], "at least a /30"),
        (["add", "--network", "192.0.2.0/24", "--gateway", "192.0.3.1", "x"], "no address of"),
        (["add", "--network", "192.0.2.0/24", "--mac-prefix", "zz", "x"], "prefix"),
        (["add", "--network", "192.0.2.0/24", "--network6", "fe80", "x"], "no IPv6"),
        (["add", "--network", "192.0.2.0/24", "--add-reserved-ips", "192.0.2.0", "x"], "in use"),
        (["connect", "-N", "link=br0", "x"], "-N needs mode"),
        (["modify", "x"], "nothing to change"),
        (["remove", "x"], "not known"),
        (["info", "x"], "no network"),
    ],
)
def test_a_network_cannot_be_like_that(node: machines.Machine, line: list[str], words: str) -> None:
    assert words in said(node, "gnt-network", *line, code=1)
    assert said(node, "gnt-network", "list", "--no-headers") == ""
