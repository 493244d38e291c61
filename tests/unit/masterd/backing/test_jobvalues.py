"""Jobs as values: what is short stays as it is, what is long keeps its ends."""

import base64
import json
import random
import zlib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.masterd.backing.etcd import jobvalues
from pyganeti.wire import jobfile


def job(*logs: list[Any], result: Any = None, status: str = "success") -> bytes:
    ops = [
        {
            "input": {"OP_ID": "OP_TEST_DELAY"},
            "status": status,
            "result": result,
            "log": log,
            "priority": 0,
        }
        for log in logs
    ]
    return json.dumps({"id": 7, "ops": ops}).encode()


def entries(texts: list[str]) -> list[Any]:
    return [[n, [1, 2], "message", text] for n, text in enumerate(texts, 1)]


def noise(size: int) -> str:
    """Return so many bytes of text that can hardly be packed."""
    return base64.b64encode(random.Random(size).randbytes(size * 3 // 4)).decode()


def test_a_short_job_is_its_file() -> None:
    data = job(entries(["hello"]))
    assert jobvalues.pack(data) == data
    assert jobvalues.unpack(data) == data


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 9000), max_size=120))
def test_a_log_keeps_its_beginning_and_its_end_and_says_what_is_gone(sizes: list[int]) -> None:
    log = [(n, (1, 2), "message", f"{n}:" + "x" * size) for n, size in enumerate(sizes, 1)]
    kept = jobvalues.shortened(tuple(log), 20_000)
    assert [e[0] for e in kept] == sorted(e[0] for e in kept)
    if sum(len(json.dumps(entry)) for entry in log) <= 20_000:
        assert list(kept) == log
        return
    assert sum(len(json.dumps(entry)) for entry in kept) < 20_000 + 4 * 5000
    said = [e for e in kept if "lines are left out" in e[3]]
    left = [e for e in kept if e not in said]
    gone = sum(int(e[3].strip("(").split()[0]) for e in said)
    assert len(left) + gone == len(log)
    if left:
        assert left[0][0] == 1
        assert left[-1][0] == len(log)


def test_a_long_job_is_packed_and_read_as_it_was() -> None:
    data = job(entries(["x"] * 10), result=["y" * 500_000])
    value = jobvalues.pack(data)
    assert len(value) < jobvalues.SHORT
    assert jobfile.decode(jobvalues.unpack(value), 7) == jobfile.decode(data, 7)


@pytest.mark.parametrize("status", ["success", "error"])
def test_results_that_do_not_fit_are_left_out_so_that_the_end_is_kept(status: str) -> None:
    data = job(entries(["said"]), result=noise(3 << 20), status=status)
    found = jobfile.decode(jobvalues.unpack(jobvalues.pack(data)), 7)
    assert found.ops[0].status == status
    assert "is left out" in str(found.ops[0].result)
    assert isinstance(found.ops[0].result, list) is (status == "error")
    assert found.ops[0].log[0][3] == "said"


def test_what_fits_in_no_way_is_refused() -> None:
    data = json.dumps({"id": 7, "ops": [{"input": {"a": noise(3 << 20)}, "status": "queued"}]})
    with pytest.raises(errors.BadInput, match="more than etcd takes"):
        jobvalues.pack(data.encode())


@pytest.mark.parametrize("value", [b"\x78", b"\x78\x01garbage", zlib.compress(b"a")[:-3]])
def test_garbage_is_no_job(value: bytes) -> None:
    with pytest.raises(errors.Damaged, match="no job"):
        jobvalues.unpack(value)


def test_the_end_of_a_job_of_many_opcodes_fits_whatever_they_said() -> None:
    digits = random.Random(1)
    ops = [
        {
            "input": {"OP_ID": "OP_TEST_DELAY", "n": n},
            "status": "success",
            "result": digits.randbytes(20_000).hex(),
            "log": entries([digits.randbytes(1500).hex() for _ in range(20)]),
        }
        for n in range(100)
    ]
    data = json.dumps({"id": 7, "ops": ops}).encode()
    value = jobvalues.pack(data)
    assert len(value) <= jobvalues.LONGEST
    found = jobfile.decode(jobvalues.unpack(value), 7)
    assert [op.input["n"] for op in found.ops] == list(range(100))
    assert {op.status for op in found.ops} == {"success"}


def test_a_new_job_leaves_room_for_what_it_will_say() -> None:
    digits = random.Random(1).randbytes(700_000).hex()
    data = json.dumps({"id": 7, "ops": [{"input": {"a": digits}, "status": "queued"}]})
    jobvalues.pack(data.encode())
    with pytest.raises(errors.BadInput, match="more than etcd takes"):
        jobvalues.pack(data.encode(), is_new=True)
