import os
import time

import pytest

from pyganeti.base import apart, errors
from pyganeti.wire import noderpc


async def test_what_it_returns_comes_back() -> None:
    assert await apart.call(os.path.join, "a", "b", timeout=20) == "a/b"


async def test_it_is_another_process() -> None:
    assert await apart.call(os.getpid, timeout=20) != os.getpid()


async def test_its_failure_is_raised_as_what_it_is() -> None:
    with pytest.raises(errors.BadInput, match="a blob is a pair"):
        await apart.call(noderpc.decode_blob, 5, timeout=20)


async def test_one_that_dies_says_its_last_words() -> None:
    with pytest.raises(errors.Unavailable, match=r"(?s)ended with status 1: .*ZeroDivisionError"):
        await apart.call(divmod, 1, 0, timeout=20)
    with pytest.raises(errors.Unavailable, match="ended with status 7"):
        await apart.call(os._exit, 7, timeout=20)


async def test_one_that_takes_too_long_is_ended() -> None:
    with pytest.raises(errors.Unavailable, match="took too long"):
        await apart.call(time.sleep, 60, timeout=0.3)
