"""Webhooks to real receivers: over TLS, slow ones, broken ones, dead ones; killed in between."""

import asyncio
import collections
import contextlib
import logging
import re
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
import trustme

from lab import happenings, journals, webreceivers
from pyganeti.base import paths
from pyganeti.watcher import events
from pyganeti.watcher.telling import message, trying, webhooks

_TOP = Path(__file__).parents[4]
_BRIEF = (0.01, 0.05)


class _Place:
    """A node's webhooks, and what is counted of them."""

    def __init__(self, root: Path) -> None:
        self.layout = paths.Paths(root, "node1.example.com")
        self.file = self.layout.config_dir / "webhooks.toml"
        self.seen: collections.Counter[tuple[str, str]] = collections.Counter()

    def write(self, **receivers: str) -> None:
        webreceivers.write(
            self.file, "".join(f"[webhooks.{k}]\n{v}\n" for k, v in receivers.items())
        )

    def count(self, name: str, what: str) -> None:
        self.seen[name, what] += 1

    @contextlib.asynccontextmanager
    async def telling(
        self, pauses: tuple[float, float] = _BRIEF
    ) -> AsyncIterator[webhooks.Webhooks]:
        told = webhooks.Webhooks(
            self.layout, lambda: "cluster.example.com", observed=self.count, pauses=pauses
        )
        await told.start()
        try:
            yield told
        finally:
            await told.close()

    async def until(self, name: str, what: str, count: int = 1) -> None:
        await journals.until(lambda: self.seen[name, what] >= count, 20)

    @property
    def files(self) -> list[str]:
        return sorted(path.name for path in self.layout.state_dir.rglob("*.json"))


@pytest.fixture
def place(tmp_path: Path) -> _Place:
    return _Place(tmp_path)


@pytest.fixture(scope="module")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture
def trusted(authority: trustme.CA) -> Iterator[str]:
    with authority.cert_pem.tempfile() as name:
        yield f'ca = "{name}"'


def _url(receiver: webreceivers.Receiver) -> str:
    return f'url = "{receiver.url}"\n'


def _event(number: int = 1, **changes: Any) -> events.Event:
    return happenings.an_event(key=f"q{number}", **changes)


async def test_an_event_comes_over_tls_signed_as_the_documents_example_checks_it(
    place: _Place, authority: trustme.CA, trusted: str
) -> None:
    text = (_TOP / "docs/telling.md").read_text()
    [example] = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    found: dict[str, Any] = {}
    exec(example, found)  # noqa: S102 - that it does is what is tested
    async with webreceivers.serving(authority) as receiver:
        place.write(pager=f'{_url(receiver)}secret = "s3"\nheaders = {{X-Key = "k"}}\n{trusted}')
        async with place.telling() as told:
            await told.on_event(_event())
            await place.until("pager", "delivered")
    [got] = receiver.got
    assert got.event["instance"] == "web1.example.com"
    assert got.event["cluster"] == "cluster.example.com"
    assert got.headers["Content-Type"] == "application/json"
    assert got.headers["X-Ganeti-Event"] == "restarted"
    assert got.headers["X-Ganeti-Id"] == got.event["id"] == message.identity(_event())
    assert got.headers["X-Key"] == "k"
    signed = got.headers["X-Ganeti-Signature"]
    assert found["is_genuine"]("s3", signed, got.body)
    assert not found["is_genuine"]("s4", signed, got.body)
    assert not found["is_genuine"]("s3", signed, got.body + b" ")
    assert not found["is_genuine"]("s3", signed, got.body, now=int(signed[2:12]) + 301)
    assert not found["is_genuine"]("s3", "nonsense", got.body)
    assert place.files == []


async def test_a_certificate_that_is_not_trusted_gets_nothing(
    place: _Place, authority: trustme.CA
) -> None:
    async with webreceivers.serving(authority) as receiver:
        place.write(pager=_url(receiver))
        async with place.telling() as told:
            await told.on_event(_event())
            await place.until("pager", "try-failed", 2)
        assert receiver.got == []
    assert len(place.files) == 1


async def test_whoever_wants_to_see_whether_they_hear_sends_them_a_test(place: _Place) -> None:
    async with webreceivers.serving() as one, webreceivers.serving() as other:
        other.answers = [401]
        place.write(one=f'{_url(one)}events = ["gave-up"]\nsecret = "s"', other=_url(other))
        tried = await trying.tell_all(place.file, "cluster.example.com")
    assert tried == [(True, "one: taken"), (False, "other: HTTP 401: so be it")]
    [got] = one.got
    assert got.event["event"] == got.headers["X-Ganeti-Event"] == "test"
    assert got.event["cluster"] == "cluster.example.com"
    assert got.headers["X-Ganeti-Signature"].startswith("t=")


async def test_filters_decide_who_hears_what(place: _Place) -> None:
    async with webreceivers.serving() as one, webreceivers.serving() as other:
        place.write(
            one=f'{_url(one)}events = ["gave-up"]', other=f'{_url(other)}causes = ["killed"]'
        )
        async with place.telling() as told:
            await told.on_event(_event(1))
            await told.on_event(_event(2, kind=events.Kind.GAVE_UP))
            await place.until("one", "delivered")
            await place.until("other", "delivered", 2)
    assert [got.event["event"] for got in one.got] == ["gave-up"]
    assert [got.event["event"] for got in other.got] == ["restarted", "gave-up"]


@pytest.mark.parametrize("answer", [500, 503, 429, 408, "reset", (503, {"Retry-After": "0"})])
async def test_what_may_get_better_is_tried_again_in_order(
    place: _Place, answer: int | str, caplog: pytest.LogCaptureFixture
) -> None:
    async with webreceivers.serving() as receiver:
        receiver.answers = [answer, answer]
        place.write(pager=_url(receiver))
        async with place.telling() as told:
            with caplog.at_level(logging.INFO):
                for number in (1, 2):
                    await told.on_event(_event(number))
                await place.until("pager", "delivered", 2)
    ids = [message.identity(_event(number)) for number in (1, 2)]
    assert receiver.ids == [ids[0], ids[0], ids[0], ids[1]]
    assert caplog.text.count("a webhook takes no events; they are tried again") == 1
    assert caplog.text.count("a webhook takes events again") == 1


@pytest.mark.parametrize("answer", [400, 401, 404, 410, (302, {"Location": "/elsewhere"}), 304])
async def test_a_no_is_taken_for_one_and_redirects_are_not_followed(
    place: _Place, answer: int, caplog: pytest.LogCaptureFixture
) -> None:
    async with webreceivers.serving() as receiver:
        receiver.answers = [answer]
        place.write(pager=_url(receiver))
        async with place.telling() as told:
            await told.on_event(_event(1))
            await told.on_event(_event(2))
            await place.until("pager", "delivered")
    assert len(receiver.got) == 2
    assert place.seen["pager", "refused"] == 1
    assert "an event was not delivered" in caplog.text
    assert place.files == []


async def test_after_so_many_tries_an_event_is_given_up_and_the_next_has_its_turn(
    place: _Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with webreceivers.serving() as receiver:
        receiver.answers = [500, 500, 500]
        place.write(pager=f"{_url(receiver)}retries = 2")
        async with place.telling() as told:
            await told.on_event(_event(1))
            await told.on_event(_event(2))
            await place.until("pager", "delivered")
    assert len(receiver.got) == 4
    assert place.seen["pager", "given-up"] == 1
    assert "HTTP 500: so be it" in caplog.text


@pytest.mark.parametrize(
    "answer",
    [b"\x00\xffnonsense\r\n\r\n", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000, b"HTTP/1.1 2", b""],
)
async def test_nonsense_is_no_answer(place: _Place, answer: bytes) -> None:
    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(answer)
        writer.close()

    server = await asyncio.start_server(answered, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        place.write(pager=f'url = "http://127.0.0.1:{port}/"\nretries = 0')
        async with place.telling() as told:
            await told.on_event(_event())
            await place.until("pager", "try-failed", 2)
            assert told.owed == {"pager": 1}


async def test_an_answer_without_end_is_taken_for_what_its_beginning_says(place: _Place) -> None:
    ended = asyncio.Event()

    async def answered(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(100)
        writer.write(b"HTTP/1.1 200 OK\r\n\r\n")
        with contextlib.suppress(ConnectionError):
            while True:
                writer.write(b"x" * 65536)
                await writer.drain()
        ended.set()

    server = await asyncio.start_server(answered, "127.0.0.1", 0)
    async with server:
        port = server.sockets[0].getsockname()[1]
        place.write(pager=f'url = "http://127.0.0.1:{port}/"')
        async with place.telling() as told:
            await told.on_event(_event())
            await place.until("pager", "delivered")
            async with asyncio.timeout(20):
                await ended.wait()


async def test_a_dead_or_silent_receiver_holds_up_no_other_and_none_is_lost(
    place: _Place,
) -> None:
    async with contextlib.AsyncExitStack() as stack:
        alive = await stack.enter_async_context(webreceivers.serving())
        silent = await stack.enter_async_context(webreceivers.serving())
        silent.answers = ["hang"] * 50
        async with webreceivers.serving() as dead:
            port = dead.port
            place.write(
                dead=f"{_url(dead)}retries = 0",
                silent=f"{_url(silent)}timeout = 0.05",
                alive=_url(alive),
            )
        async with place.telling() as told:
            for number in range(5):
                await told.on_event(_event(number))
            await place.until("alive", "delivered", 5)
            await place.until("dead", "try-failed", 3)
            await place.until("silent", "try-failed", 3)
            assert told.owed == {"dead": 5, "silent": 5, "alive": 0}
            async with webreceivers.serving(port=port) as dead:
                await place.until("dead", "delivered", 5)
            assert dead.ids == alive.ids


async def test_what_is_kept_too_long_is_given_up(place: _Place) -> None:
    async with webreceivers.serving() as receiver:
        place.write(pager=f'{_url(receiver)}keep = "0"')
    async with place.telling() as told:
        await told.on_event(_event())
        await place.until("pager", "given-up")
        assert told.owed == {"pager": 0}


async def test_what_is_owed_outlives_a_kill_at_any_moment(place: _Place) -> None:
    names = ["web1", "web2", "web3"]
    async with webreceivers.serving() as receiver:
        receiver.answers = [200, "hang"]  # the second is taken, and its answer never comes
        place.write(pager=f"{_url(receiver)}timeout = 60")
        child = await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", "lab.happenings", str(place.layout.root), *names),
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            cwd=_TOP,
        )
        try:
            assert child.stdout is not None
            async with asyncio.timeout(30):
                said = [(await child.stdout.readline()).decode() for _ in names]
                await receiver.received(2)
        finally:
            child.kill()
            await child.wait()
        assert said == [f"owed {name}\n" for name in names]
        assert len(place.files) == 2
        async with place.telling() as told:
            await place.until("pager", "delivered", 2)
            assert told.owed == {"pager": 0}
    told_of = [got.event["instance"] for got in receiver.got]
    assert told_of == ["web1", "web2", "web2", "web3"]
    assert receiver.ids[1] == receiver.ids[2]


async def test_the_file_is_read_again_and_nonsense_changes_nothing(
    place: _Place, caplog: pytest.LogCaptureFixture
) -> None:
    async with webreceivers.serving() as one, webreceivers.serving() as other:
        place.write(one=_url(one))
        async with place.telling() as told:
            place.write(one="url = 5")
            await told.reload()
            assert "the webhooks cannot be read; nothing changes" in caplog.text
            await told.on_event(_event(1))
            await place.until("one", "delivered")
            one.answers = [500] * 1000
            await told.on_event(_event(2))
            await place.until("one", "try-failed")
            place.write(other=_url(other))
            await told.reload()
            assert "events for nobody are dropped" in caplog.text
            await told.on_event(_event(3))
            await place.until("other", "delivered")
            assert told.owed == {"other": 0}
    assert place.files == []


async def test_it_is_waited_for_what_can_be_delivered_and_not_for_the_rest(place: _Place) -> None:
    async with webreceivers.serving() as well, webreceivers.serving() as ill:
        ill.answers = [500] * 1000
        place.write(well=_url(well), ill=_url(ill))
        async with place.telling(pauses=(60.0, 60.0)) as told:
            for number in range(3):
                await told.on_event(_event(number))
            async with asyncio.timeout(20):
                await told.settled(60.0)
            assert told.owed == {"well": 0, "ill": 3}
