"""The command's side against a scripted peer on a real socket."""

import json
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from pyganeti.base import errors, paths
from pyganeti.clients import luxi as client
from pyganeti.clients import luxichannel
from pyganeti.wire import luxi, luxierrors

QUICK = luxichannel.Patience(connect=0.3, answer=0.3, restart=0.1)
Answers = Callable[[dict[str, Any]], Any]


class Peer:
    """Answers from a script on a socket; what is asked is kept."""

    def __init__(self, path: Path, *answers: object) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.asked: list[dict[str, Any]] = []
        self.answers: list[bytes | None] = []
        self.will(*answers)
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(path))
        self._socket.listen(1)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def will(self, *answers: object) -> None:
        self.answers += [luxi.encode_success(answer) for answer in answers]

    def close(self) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(10)
        self._socket.close()

    def _run(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:
                return
            with connection:
                self._serve(connection)

    def _serve(self, connection: socket.socket) -> None:
        splitter = luxi.Splitter()
        while data := connection.recv(65536):
            for message in splitter.feed(data):
                assert message is not None
                self.asked.append(json.loads(message))
                answer = self.answers.pop(0)
                if answer is None:
                    return
                connection.sendall(answer)


@pytest.fixture
def layout(short_dir: Path) -> paths.Paths:
    layout = paths.Paths(short_dir, "node1.example.com")
    layout.state_dir.mkdir(parents=True)
    return layout


@pytest.fixture
def peer(layout: paths.Paths) -> Iterator[Peer]:
    peer = Peer(layout.query_socket)
    yield peer
    peer.close()


@pytest.fixture
def asking(layout: paths.Paths, peer: Peer) -> Iterator[client.Client]:
    with client.Client(layout, QUICK) as made:
        yield made


def test_asking_needs_no_asyncio() -> None:
    code = "import sys, pyganeti.clients.luxi; sys.exit('asyncio' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_questions_share_a_connection(asking: client.Client, peer: Peer) -> None:
    peer.will(["a"], ["b"])
    assert asking.query_tags("cluster") == ["a"]
    assert asking.query_tags("node", "node1") == ["b"]
    assert peer.asked == [
        {"method": "QueryTags", "args": ["cluster", ""], "version": 3000000},
        {"method": "QueryTags", "args": ["node", "node1"], "version": 3000000},
    ]


def test_the_older_socket_will_do(layout: paths.Paths) -> None:
    peer = Peer(layout.master_socket, 1)
    with client.Client(layout, QUICK) as asking:
        assert asking.archive(3) is True
    peer.close()


def test_a_connection_that_was_closed_while_it_rested_is_made_anew(
    asking: client.Client, peer: Peer
) -> None:
    peer.will([[1]])
    asking.query_jobs([1], ["id"])
    peer.answers.append(None)
    with pytest.raises(luxichannel.Silent, match="went away"):
        asking.query_jobs([1], ["id"])
    peer.will([[2]])
    assert asking.query_jobs([1], ["id"]) == [[2]]


def test_a_question_is_sent_once(asking: client.Client, peer: Peer) -> None:
    peer.answers.append(None)
    with pytest.raises(luxichannel.Silent, match="gnt-job list"):
        asking.submit([])
    assert len(peer.asked) == 1


def test_no_answer_in_time_is_told(asking: client.Client, peer: Peer) -> None:
    peer.answers.append(b"")
    with pytest.raises(luxichannel.Silent, match="has not answered for"):
        asking.submit([])


def test_no_cluster_is_told(layout: paths.Paths) -> None:
    with client.Client(layout) as asking, pytest.raises(luxichannel.NotCluster) as raised:
        asking.query_cluster_info()
    assert client.exit_code(raised.value) == 5


def test_another_master_is_named(layout: paths.Paths) -> None:
    layout.ssconf("master_node").write_text("node2.example.com\n")
    with (
        client.Client(layout) as asking,
        pytest.raises(luxichannel.NotMaster, match=r"on node2\.example\.com") as raised,
    ):
        asking.query_cluster_info()
    assert client.exit_code(raised.value) == 11


def test_a_master_daemon_that_is_not_there_is_told(layout: paths.Paths) -> None:
    layout.ssconf("master_node").write_text("node1.example.com\n")
    with (
        client.Client(layout, QUICK) as asking,
        pytest.raises(luxichannel.NotRunning, match="start ganeti-masterd") as raised,
    ):
        asking.query_cluster_info()
    assert client.exit_code(raised.value) == 1


def test_a_master_daemon_that_is_being_restarted_is_waited_for(layout: paths.Paths) -> None:
    layout.ssconf("master_node").write_text("node1.example.com\n")
    started: list[Peer] = []

    def start() -> None:
        started.append(Peer(layout.query_socket, ["a"]))

    timer = threading.Timer(0.1, start)
    timer.start()
    with client.Client(layout, luxichannel.Patience(restart=20)) as asking:
        assert asking.query_tags("cluster") == ["a"]
    timer.join()
    started[0].close()


def test_a_full_queue_of_connections_is_told(layout: paths.Paths) -> None:
    layout.query_socket.parent.mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(layout.query_socket))
        listening.listen(0)
        with socket.socket(socket.AF_UNIX) as first:
            first.connect(str(layout.query_socket))
            with (
                client.Client(layout, QUICK) as asking,
                pytest.raises(luxichannel.NotRunning, match="overloaded or stuck"),
            ):
                asking.query_cluster_info()


def test_an_answer_that_is_none_is_told(asking: client.Client, peer: Peer) -> None:
    peer.answers.append(b"hello\3")
    with pytest.raises(luxierrors.Protocol, match="not JSON"):
        asking.query_cluster_info()


def test_a_refusal_comes_back_as_what_it_is(asking: client.Client, peer: Peer) -> None:
    peer.answers.append(luxi.encode_failure(errors.BadInput("no", "unknown_entity")))
    with pytest.raises(errors.BadInput) as raised:
        asking.query_tags("node", "x")
    assert raised.value.code == "unknown_entity"


def test_a_job_is_waited_for_and_its_messages_come_in_order(
    asking: client.Client, peer: Peer
) -> None:
    peer.will(
        7,
        [["queued"], []],
        "nochange",
        [["running"], [[1, [5, 0], "message", "one"], [2, [6, 0], "message", "two"]]],
        [["success"], [[3, [7, 0], "message", "three"]]],
        [["success"], []],
        [["success", ["success"], [42]]],
    )
    heard: list[tuple[str, Any]] = []
    numbers: list[int] = []
    answer = asking.submit_and_wait(
        [{"OP_ID": "OP_TEST_DELAY"}],
        lambda message: heard.append((message.status, message.text)),
        on_number=numbers.append,
    )
    assert answer == [42]
    assert numbers == [7]
    assert heard == [
        ("queued", None),
        ("running", "one"),
        ("running", "two"),
        ("success", "three"),
        ("success", None),
    ]
    assert [asked["args"][2:4] for asked in peer.asked[1:-1]] == [
        [None, None],
        [["queued"], None],
        [["queued"], None],
        [["running"], 2],
        [["success"], 3],
    ]


@pytest.mark.parametrize(
    ("row", "kind"),
    [
        (["error", ["success", "error"], [1, ["OpPrereqError", ["a", "b"]]]], errors.BadInput),
        (["error", ["error"], ["it broke"]], luxierrors.OperationFailed),
        (["canceled", ["canceled"], ["Job canceled"]], luxierrors.JobCanceled),
        ([None, None, None], luxierrors.JobLost),
    ],
)
def test_a_job_that_did_not_succeed_raises_what_it_failed_with(
    asking: client.Client, peer: Peer, row: list[Any], kind: type[errors.Failure]
) -> None:
    peer.will([[row[0] or "error"], []], [row])
    with pytest.raises(kind):
        asking.wait(7)


def test_every_method_goes_out_as_the_protocol_has_it(asking: client.Client, peer: Peer) -> None:
    calls: list[tuple[Callable[[], object], object, str, list[Any]]] = [
        (lambda: asking.submit([{}]), 5, "SubmitJob", [[{}]]),
        (lambda: asking.submit([], even_drained=True), 5, "SubmitJobToDrainedQueue", [[]]),
        (lambda: asking.submit_many([[{}]]), [[True, 1]], "SubmitManyJobs", [[[{}]]]),
        (lambda: asking.cancel(1), [True, "x"], "CancelJob", [1, False]),
        (lambda: asking.change_priority(1, -5), [True, "x"], "ChangeJobPriority", [1, -5]),
        (lambda: asking.archive(1), True, "ArchiveJob", [1]),
        (lambda: asking.auto_archive(-1), [1, 0], "AutoArchiveJobs", [-1, 89]),
        (lambda: asking.pick_up(1), None, "PickupJob", [1]),
        (lambda: asking.set_drain(is_drained=True), True, "SetDrainFlag", [True]),
        (lambda: asking.query("node", ["name"]), {}, "Query", ["node", ["name"], None]),
        (lambda: asking.query_fields("node"), {}, "QueryFields", ["node", None]),
        (lambda: asking.query_instances([], ["name"]), [], "QueryInstances", [[], ["name"], False]),
        (lambda: asking.query_nodes([], ["name"]), [], "QueryNodes", [[], ["name"], False]),
        (lambda: asking.query_groups([], ["name"]), [], "QueryGroups", [[], ["name"], False]),
        (lambda: asking.query_networks([], ["name"]), [], "QueryNetworks", [[], ["name"], False]),
        (lambda: asking.query_exports(["n"]), [], "QueryExports", [["n"], False]),
        (lambda: asking.query_filters(None, ["uuid"]), [], "QueryFilters", [None, ["uuid"]]),
        (lambda: asking.query_config_values(["x"]), [None], "QueryConfigValues", [["x"]]),
        (asking.query_cluster_info, {}, "QueryClusterInfo", []),
        (lambda: asking.query_tags("cluster"), [], "QueryTags", ["cluster", ""]),
        (
            lambda: asking.replace_filter(None, 0, [], "PAUSE", []),
            "u",
            "ReplaceFilter",
            [None, 0, [], "PAUSE", []],
        ),
        (lambda: asking.delete_filter("u"), None, "DeleteFilter", ["u"]),
        (lambda: asking.set_watcher_pause(5.0), 5.0, "SetWatcherPause", [5.0]),
        (
            lambda: asking.wait_for_change(1, ["status"], None, None),
            "nochange",
            "WaitForJobChange",
            [1, ["status"], None, None, 60],
        ),
        (lambda: asking.query_jobs(None, ["id"]), [], "QueryJobs", [None, ["id"]]),
    ]
    for ask, answer, method, args in calls:
        peer.will(answer)
        ask()
        assert (peer.asked[-1]["method"], peer.asked[-1]["args"]) == (method, args)
    assert {asked["method"] for asked in peer.asked} == luxi.METHODS


_AS_NOBODY = """
import os, sys
from pyganeti.base import errors, paths
from pyganeti.clients import luxi
import pathlib
os.setgroups([])
os.setgid(65534)
os.setuid(65534)
try:
    luxi.Client(paths.Paths(pathlib.Path(sys.argv[1]), "node1.example.com")).query_cluster_info()
except errors.Denied as error:
    print(error)
"""


@pytest.mark.root
def test_who_may_not_ask_is_told_so(layout: paths.Paths, peer: Peer) -> None:
    for place in (layout.root, layout.run_dir.parent.parent, layout.run_dir.parent):
        place.chmod(0o755)
    layout.query_socket.chmod(0o660)
    said = subprocess.run(
        [sys.executable, "-c", _AS_NOBODY, str(layout.root)],
        check=True,
        capture_output=True,
        text=True,
    )
    assert said.stdout.startswith("you may not talk to the master daemon")
    assert peer.asked == []
