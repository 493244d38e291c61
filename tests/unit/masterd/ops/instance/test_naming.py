"""An instance's name is one that a computer can have; what it resolves to is looked at."""

import socket

import pytest

from pyganeti.base import errors
from pyganeti.masterd.ops.instance import naming


@pytest.mark.parametrize("name", ["web1", "Web1.Example.COM", " web1 ", "_a-b.c"])
def test_names_are_put_into_one_form(name: str) -> None:
    assert naming.normalized(name) == name.strip().lower()


@pytest.mark.parametrize("name", ["", ".", "a..b", "-a", "a-", "a b", "ä", "a/b", "a" * 256])
def test_what_no_computer_is_called_is_refused(name: str) -> None:
    with pytest.raises(errors.BadInput, match="Invalid name"):
        naming.normalized(name)


async def test_a_name_is_resolved() -> None:
    found = await naming.resolve("localhost")

    assert found.name.split(".")[0] == "localhost"
    assert found.address in {"127.0.0.1", "::1"}


async def test_a_name_that_resolves_to_nothing_is_said_with_a_way_out() -> None:
    with pytest.raises(errors.BadInput, match="--no-name-check") as caught:
        await naming.resolve("nosuch.invalid")
    assert caught.value.code == "resolver_error"


async def test_an_address_is_somebodys_if_anything_comes_back() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
        assert await naming.is_answering("127.0.0.1", port)
    assert await naming.is_answering("127.0.0.1", port)  # refused: there is a computer
