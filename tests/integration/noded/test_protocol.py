"""The node RPC's HTTP, as clients of every kind speak it."""

import contextlib
import json
import re
import socket
import threading
import time
from pathlib import Path

import pytest

from lab import nodedaemons
from pyganeti.base import errors
from pyganeti.wire import noderpc

_VERSION = b"[true,3000000]"


@pytest.mark.parametrize(
    "kind",
    [None, "application/json", "application/x-www-form-urlencoded", "text/plain", "nonsense"],
)
def test_any_content_type_will_do(kind: str | None, noded: nodedaemons.Noded) -> None:
    headers = {} if kind is None else {"Content-Type": kind}
    assert noded.post("/version", b"[]", headers=headers) == (200, _VERSION)


def test_one_connection_serves_many_calls(noded: nodedaemons.Noded) -> None:
    with contextlib.closing(noded.connect()) as connection:
        for _ in range(5):
            connection.request("POST", "/version", b"[]")
            before = connection.sock
            assert connection.getresponse().read() == _VERSION
            assert connection.sock is before


def test_clients_of_http_1_0_and_those_that_close_are_served(noded: nodedaemons.Noded) -> None:
    for head in (b"POST /version HTTP/1.0\r\n", b"POST /version HTTP/1.1\r\nConnection: close\r\n"):
        context = noded.context()
        assert context is not None
        with context.wrap_socket(noded.raw()) as stream:
            stream.sendall(head + b"Host: x\r\nContent-Length: 2\r\n\r\n[]")
            answer = b""
            while piece := stream.recv(65536):
                answer += piece
        assert b" 200 OK" in answer.splitlines()[0]
        assert answer.endswith(_VERSION)


def test_a_client_that_waits_to_be_told_to_continue_is_told(noded: nodedaemons.Noded) -> None:
    context = noded.context()
    assert context is not None
    with context.wrap_socket(noded.raw()) as stream:
        stream.sendall(
            b"POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n"
            b"Expect: 100-continue\r\nConnection: close\r\n\r\n"
        )
        assert stream.recv(65536).startswith(b"HTTP/1.1 100 ")
        stream.sendall(b"[]")
        answer = b""
        while piece := stream.recv(65536):
            answer += piece
    assert answer.endswith(_VERSION)


def test_what_is_not_a_call_is_404_and_another_method_400(noded: nodedaemons.Noded) -> None:
    assert noded.post("/no_such_call", b"[]")[0] == 404
    assert noded.post("/", b"[]")[0] == 404
    assert noded.post("/../version", b"[]")[0] == 404
    status, body = noded.post("/version", b"", method="GET")
    assert status == 400
    assert json.loads(body)["explain"] == "only POST is understood"
    assert noded.post("/version", b"[]", method="PUT")[0] == 400


def test_a_call_of_ganetis_that_is_not_there_says_so(noded: nodedaemons.Noded) -> None:
    with pytest.raises(errors.Failure) as caught:
        noded.call("drbd_attach_net", [], [], [])
    assert str(caught.value) == "drbd_attach_net is not implemented by this node daemon yet"


@pytest.mark.parametrize(
    "body",
    [b"", b"garbage", b"{}", b"null", b"\xff\x00", b"[1]", b"[" * 100_000, b"[1" + b"0" * 200_000],
)
def test_garbage_is_a_plain_failure_and_logged_once(body: bytes, noded: nodedaemons.Noded) -> None:
    status, answer = noded.post("/version", body)
    assert status == 200
    assert json.loads(answer)[0] is False
    assert len(noded.log_lines("refused or failed", "call=version")) == 1
    assert "Traceback" not in noded.log
    assert noded.call("version") == noderpc.PROTOCOL


def test_wrong_arguments_change_nothing(noded: nodedaemons.Noded) -> None:
    wrong: tuple[tuple[object, ...], ...] = ((), ("x",), (5, 6), ([],))
    for arguments in wrong:
        with pytest.raises(errors.Failure, match="set_watcher_pause"):
            noded.call("set_watcher_pause", *arguments)
    assert noded.call("get_watcher_pause") is None
    assert not (noded.layout.state_dir / "watcher.pause").exists()


def test_a_body_that_is_too_long_is_refused_before_it_is_read(noded: nodedaemons.Noded) -> None:
    limit = noderpc.BODY_LIMIT
    context = noded.context()
    assert context is not None
    with context.wrap_socket(noded.raw()) as stream:
        stream.sendall(
            b"POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n[" % (limit + 1)
        )
        assert b" 413 " in stream.recv(65536).splitlines()[0]
    with context.wrap_socket(noded.raw()) as stream:
        stream.sendall(b"POST /version HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n")
        piece = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        with contextlib.suppress(OSError):
            for _ in range(12):
                stream.sendall(piece)
        assert b" 413 " in stream.recv(65536).splitlines()[0]
    assert noded.call("version") == noderpc.PROTOCOL


def test_a_body_as_long_as_allowed_is_read(noded: nodedaemons.Noded) -> None:
    body = b"[" + b" " * (noderpc.BODY_LIMIT - 2) + b"]"
    assert noded.post("/version", body) == (200, _VERSION)


def test_what_is_not_http_is_answered_or_dropped_and_no_traceback(
    noded: nodedaemons.Noded,
) -> None:
    context = noded.context()
    assert context is not None
    for garbage in (b"hello\r\n\r\n", b"\x00" * 100, b"POST /version HTTP/1.1\r\nA" * 900):
        with context.wrap_socket(noded.raw()) as stream:
            stream.sendall(garbage)
            with contextlib.suppress(OSError):
                assert b" 400 " in stream.recv(65536)
    for garbage in (b"POST /version HTTP/1.1\r\n\r\n", b"\x16\x03\x01garbage", b""):
        with noded.raw() as plain:
            plain.sendall(garbage)
            plain.shutdown(socket.SHUT_WR)
            with contextlib.suppress(OSError):
                while plain.recv(65536):
                    pass
    assert noded.call("version") == noderpc.PROTOCOL
    assert "Traceback" not in noded.log


def test_without_tls_anybody_is_served(short_dir: Path) -> None:
    with nodedaemons.Noded(short_dir, with_tls=False) as noded:
        assert noded.call("version") == noderpc.PROTOCOL
        assert noded.log_lines("no TLS")


def test_a_call_that_hangs_holds_up_nobody(noded: nodedaemons.Noded) -> None:
    with contextlib.closing(noded.connect()) as hanging:
        hanging.request("POST", "/test_delay", b"[3600]")
        for _ in range(3):
            assert noded.call("version", timeout=5) == noderpc.PROTOCOL


def test_twenty_clients_at_once_are_all_answered(noded: nodedaemons.Noded) -> None:
    found: list[object] = []

    def ask() -> None:
        with contextlib.closing(noded.connect()) as connection:
            for _ in range(10):
                connection.request("POST", "/version", b"[]")
                found.append(connection.getresponse().read())

    threads = [threading.Thread(target=ask) for _ in range(20)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == [_VERSION] * 200


def test_a_client_that_waits_for_acknowledgements_is_not_kept_waiting(
    noded: nodedaemons.Noded,
) -> None:
    """As every one does that has not switched Nagle's algorithm off; the kernel's wait is 40 ms."""
    context = noded.context()
    assert context is not None
    fastest = 1.0
    for _ in range(10):
        with context.wrap_socket(noded.raw()) as stream:
            began = time.monotonic()
            stream.sendall(b"POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n[]")
            assert stream.recv(65536).endswith(_VERSION)
            fastest = min(fastest, time.monotonic() - began)
    assert fastest < 0.035


def test_connections_above_the_limit_wait(short_dir: Path) -> None:
    with nodedaemons.Noded(short_dir, "--max-clients", "2") as noded, contextlib.ExitStack() as end:
        busy = [end.enter_context(contextlib.closing(noded.connect())) for _ in range(2)]
        for connection in busy:
            connection.request("POST", "/test_delay", b"[1.5]")
        began = time.monotonic()
        assert noded.call("version") == noderpc.PROTOCOL
        assert time.monotonic() - began > 0.5
        for connection in busy:
            assert connection.getresponse().read() == b"[true,null]"


def test_connections_kept_for_later_make_room(short_dir: Path) -> None:
    with (
        nodedaemons.Noded(short_dir, "--max-clients", "1") as noded,
        contextlib.closing(noded.connect()) as kept,
    ):
        kept.request("POST", "/version", b"[]")
        kept.getresponse().read()
        began = time.monotonic()
        assert noded.call("version") == noderpc.PROTOCOL
        assert time.monotonic() - began < 8


@pytest.mark.slow
def test_clients_that_say_nothing_are_dropped_after_ten_seconds(noded: nodedaemons.Noded) -> None:
    context = noded.context()
    assert context is not None
    with contextlib.ExitStack() as end:
        silent = {
            "without TLS": end.enter_context(noded.raw()),
            "without request": end.enter_context(context.wrap_socket(noded.raw())),
            "in the header": end.enter_context(context.wrap_socket(noded.raw())),
            "in the body": end.enter_context(context.wrap_socket(noded.raw())),
            "after an answer": end.enter_context(context.wrap_socket(noded.raw())),
        }
        begun = time.monotonic()
        silent["in the header"].sendall(b"POST /version HT")
        head = b"POST /version HTTP/1.1\r\nHost: x\r\nContent-Length: 2\r\n\r\n["
        silent["in the body"].sendall(head)
        silent["after an answer"].sendall(head + b"]")
        assert silent["after an answer"].recv(65536).endswith(_VERSION)
        working = end.enter_context(contextlib.closing(noded.connect(timeout=30)))
        working.request("POST", "/test_delay", b"[13]")
        for stream in silent.values():
            stream.settimeout(20)
            with contextlib.suppress(ConnectionError):
                while stream.recv(65536):
                    pass
            assert 8 < time.monotonic() - begun < 14
        assert working.getresponse().read() == b"[true,null]"
    assert noded.call("version") == noderpc.PROTOCOL


def test_every_call_is_logged_with_who_and_how_long(noded: nodedaemons.Noded) -> None:
    noded.call("test_delay", 0.05)
    (line,) = noded.log_lines("answered", "call=test_delay")
    assert f"by={nodedaemons.NAME}" in line
    (seconds,) = re.findall(r" seconds=(\d+\.\d+)", line)
    assert 0.05 <= float(seconds) < 30


def test_calls_on_one_thing_go_one_after_the_other(noded: nodedaemons.Noded) -> None:
    lock = noded.layout.state_dir / "queue"
    lock.mkdir()
    stop = threading.Event()
    failed: list[object] = []

    def update(text: str) -> None:
        while not stop.is_set():
            try:
                noded.call("jobqueue_update", "/var/lib/ganeti/queue/job-1", [0, text])
            except Exception as error:  # noqa: BLE001 - told by the test
                failed.append(error)
                return

    threads = [threading.Thread(target=update, args=(letter * 400,)) for letter in "ab"]
    for thread in threads:
        thread.start()
    try:
        noded.wait(lambda: len(noded.log_lines("call=jobqueue_update")) > 30 or bool(failed))
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    assert not failed
    content = (lock / "job-1").read_text()
    assert content in {"a" * 400, "b" * 400}


def test_a_client_that_leaves_in_the_middle_disturbs_nobody(noded: nodedaemons.Noded) -> None:
    context = noded.context()
    assert context is not None
    for sent in (b"POST /version HTTP/1.1\r\nContent-Length: 99\r\n\r\n[", b"POST /test_delay HTT"):
        with context.wrap_socket(noded.raw()) as stream:
            stream.sendall(sent)
    with contextlib.closing(noded.connect()) as connection:
        connection.request("POST", "/test_delay", b"[0.2]")
    noded.wait_log("answered", "call=test_delay")
    assert noded.call("version") == noderpc.PROTOCOL
    assert "Traceback" not in noded.log


def test_answers_say_that_they_are_json(noded: nodedaemons.Noded) -> None:
    with contextlib.closing(noded.connect()) as connection:
        connection.request("POST", "/version", b"[]")
        response = connection.getresponse()
        assert response.getheader("Content-Type") == "application/json"
        response.read()
