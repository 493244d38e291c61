"""A promise that was told is there, whenever whoever gave it is killed."""

import asyncio
import itertools
import os
import signal
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from pyganeti.base import errors, files, paths
from pyganeti.clients import promises
from pyganeti.wire import epochs

FIRST, SECOND = epochs.of(3, "node1"), epochs.of(4, "node2")
_WATCHED = {promises.__name__, files.__name__}


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    made = paths.Paths(tmp_path, "node1")
    made.state_dir.mkdir(parents=True)
    return made


def _give_and_die(layout: paths.Paths, step: int, told: int) -> None:
    """Give a promise in this process, which dies at a step of it or lives on."""
    steps = itertools.count(1)

    def hook(frame: FrameType, _event: str, _arg: Any) -> None:
        if frame.f_globals.get("__name__") in _WATCHED and next(steps) == step:
            os.kill(os.getpid(), signal.SIGKILL)

    threading.setprofile(hook)
    sys.setprofile(hook)
    asyncio.run(promises.give(layout, SECOND))
    os.write(told, b"!")


def test_it_is_whole_and_there_if_it_was_told_whenever_the_process_is_killed(
    layout: paths.Paths,
) -> None:
    for step in itertools.count(1):
        layout.epoch_file.write_bytes(epochs.encode(FIRST))
        reads, writes = os.pipe()
        child = os.fork()
        if child == 0:
            try:
                _give_and_die(layout, step, writes)
            finally:
                os._exit(0)
        os.close(writes)
        told = os.read(reads, 1)
        os.close(reads)
        _, status = os.waitpid(child, 0)
        found = promises.read(layout.epoch_file)
        assert not found.damage
        assert found.known in ({SECOND} if told else {FIRST, SECOND})
        if not os.WIFSIGNALED(status):
            assert told
            break
        asyncio.run(promises.give(layout, SECOND))
        assert promises.read(layout.epoch_file).known == SECOND
    assert step > 20, "it was not killed at its steps"


async def test_of_two_that_ask_at_once_all_nodes_prefer_the_same(layout: paths.Paths) -> None:
    one, other = epochs.of(7, "node1"), epochs.of(7, "node2")
    for order in ((one, other), (other, one)):
        layout.epoch_file.unlink(missing_ok=True)
        await asyncio.gather(
            *(promises.give(layout, wanted) for wanted in order), return_exceptions=True
        )
        assert promises.read(layout.epoch_file).known == other


async def test_what_cannot_be_read_promises_nothing(layout: paths.Paths) -> None:
    layout.epoch_file.mkdir()
    with pytest.raises(errors.Unavailable):
        await promises.give(layout, FIRST)
    with pytest.raises(errors.Unavailable):
        await promises.learn(layout, FIRST)
