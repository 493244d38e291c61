"""A machine that waits to be taken in, and who comes: both sides as they are, on the loopback."""

import asyncio
import dataclasses
import socket
import ssl
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from pyganeti.base import errors
from pyganeti.cli.bootstrap import inviting, waiting
from pyganeti.wire import joining

BUNDLE = joining.Bundle(
    protocol=3000000,
    cluster_name="cluster.example.com",
    node_name="node2.example.com",
    server_pem="PRIVATE",
    settings={"instance_list": "x" * 100_000},
)
HERE = "127.0.0.1"


@dataclass
class Machine:
    """A machine that waits, and what became of it."""

    token: joining.Token
    ended: asyncio.Task[None]
    taken: list[joining.Bundle] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def visited(self, token: joining.Token | None = None) -> None:
        await asyncio.to_thread(inviting.by_token, token or self.token, BUNDLE)


Waits = Callable[..., "asyncio.Future[Machine]"]


@pytest.fixture
async def waits() -> AsyncIterator[Waits]:
    """Return what starts a machine's waiting, which ends with the test."""
    machines: list[Machine] = []

    async def start(
        *, check: waiting.Take | None = None, take: waiting.Take | None = None, patience: float = 20
    ) -> Machine:
        told: asyncio.Future[joining.Token] = asyncio.get_running_loop().create_future()
        taken: list[joining.Bundle] = []
        said: list[str] = []
        made = waiting.Waiting(
            "node2.example.com",
            check=check or (lambda _: None),
            take=take or taken.append,
            announce=told.set_result,
            say=said.append,
        )
        ended = asyncio.create_task(made.run(HERE, 0, patience))
        both: set[asyncio.Future[Any]] = {told, ended}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        machine = Machine(await told, ended, taken, said)
        machines.append(machine)
        return machine

    yield lambda **words: asyncio.ensure_future(start(**words))
    for machine in machines:
        machine.ended.cancel()
        await asyncio.gather(machine.ended, return_exceptions=True)


async def test_who_has_the_token_hands_over_and_nobody_comes_after(waits: Waits) -> None:
    machine = await waits()

    await machine.visited()

    await machine.ended
    assert machine.taken == [BUNDLE]
    with pytest.raises(errors.Unavailable, match="the token was used"):
        await machine.visited()


async def test_who_guesses_is_told_off_and_soon_nobody_is_listened_to(waits: Waits) -> None:
    machine = await waits()
    wrong = dataclasses.replace(machine.token, secret=bytes(16))

    for _ in range(5):
        with pytest.raises(errors.Refused, match="not the token"):
            await machine.visited(wrong)

    with pytest.raises(errors.Denied, match="5 came without the token"):
        await machine.ended
    assert machine.taken == []
    with pytest.raises(errors.Unavailable):
        await machine.visited()


async def test_another_machine_in_its_place_is_told_nothing(waits: Waits) -> None:
    machine, other = await waits(), await waits()
    mistaken = dataclasses.replace(machine.token, port=other.token.port)

    with pytest.raises(errors.Denied, match="told nothing"):
        await machine.visited(mistaken)

    assert other.taken == []
    assert not [words for words in other.said if "does not have the token" in words]
    await machine.visited()
    await machine.ended


async def test_nobody_comes_in_time(waits: Waits) -> None:
    machine = await waits(patience=0.05)
    with pytest.raises(errors.Interrupted, match="nothing was changed"):
        await machine.ended


async def test_a_bundle_that_does_not_fit_leaves_it_waiting(waits: Waits) -> None:
    refusals = [errors.BadInput("this machine calls itself node3")]

    def check(_bundle: joining.Bundle) -> None:
        if refusals:
            raise refusals.pop()

    machine = await waits(check=check)
    with pytest.raises(errors.Refused, match=r"node2\.example\.com: this machine calls itself"):
        await machine.visited()
    await machine.visited()
    await machine.ended
    assert machine.taken == [BUNDLE]


async def test_a_failure_to_become_a_node_is_heard_on_both_sides(waits: Waits) -> None:
    def take(_bundle: joining.Bundle) -> None:
        raise errors.Unavailable("ganeti-noded did not start: no space")

    machine = await waits(take=take)
    with pytest.raises(errors.Refused, match="no space"):
        await machine.visited()
    with pytest.raises(errors.Unavailable, match="no space"):
        await machine.ended


@pytest.mark.parametrize("spoken", [b"", b"GET / HTTP/1.0\r\n\r\n", b"\0" * 5000])
async def test_who_does_not_even_speak_tls_hinders_nobody(waits: Waits, spoken: bytes) -> None:
    machine = await waits()
    for _ in range(20):
        with socket.create_connection((HERE, machine.token.port), 5) as stranger:
            stranger.sendall(spoken)
    await machine.visited()
    await machine.ended


@pytest.mark.parametrize(
    "spoken", [b"\xff\xff\xff\xff", b"\0\0\x10\0", b"\0\0\0\x02{}", b"\0\0\0\x02", b"\0\0\0\0"]
)
async def test_nonsense_in_place_of_a_proof_hinders_nobody(waits: Waits, spoken: bytes) -> None:
    machine = await waits()

    def speak() -> None:
        context = ssl.create_default_context()
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        with (
            socket.create_connection((HERE, machine.token.port), 5) as bare,
            context.wrap_socket(bare) as stranger,
        ):
            stranger.sendall(spoken)

    await asyncio.to_thread(speak)
    await machine.visited()
    await machine.ended
    assert machine.taken == [BUNDLE]


async def test_a_port_that_is_taken_is_said_with_a_way_out() -> None:
    with socket.create_server((HERE, 0)) as other:
        made = waiting.Waiting(
            "node2",
            check=lambda _: None,
            take=lambda _: None,
            announce=lambda _: None,
            say=lambda _: None,
        )
        with pytest.raises(errors.Unavailable, match="--port"):
            await made.run(HERE, other.getsockname()[1], 5)
