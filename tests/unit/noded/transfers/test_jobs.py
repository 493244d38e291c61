"""What a transfer is to do: the words of masters, and the way to the transfer's process."""

import pytest

from pyganeti.base import errors
from pyganeti.noded.transfers import jobs


@pytest.mark.parametrize(
    ("asked", "packs", "unpacks"),
    [
        ("none", [], []),
        (None, ["gzip", "-1", "-c"], ["gzip", "-d", "-c"]),
        ("gzip", ["gzip", "-1", "-c"], ["gzip", "-d", "-c"]),
        ("gzip-slow", ["gzip", "-c"], ["gzip", "-d", "-c"]),
        ("lzop", ["lzop", "-c"], ["lzop", "-d", "-c"]),
        ("my_tool-2", ["my_tool-2"], ["my_tool-2", "-d"]),
    ],
)
def test_data_is_packed_by_the_tool_that_the_master_names(
    asked: str | None, packs: list[str], unpacks: list[str]
) -> None:
    assert jobs.packing(asked, "export") == packs
    assert jobs.packing(asked, "import") == unpacks


@pytest.mark.parametrize("asked", ["../x", "a b", "x;y", "/bin/sh"])
def test_a_tool_is_a_name(asked: str) -> None:
    with pytest.raises(errors.BadInput):
        jobs.packing(asked, "export")


@pytest.mark.parametrize(
    "end",
    [
        jobs.File(7),
        jobs.Disk("/dev/x", "raw", 16, is_direct=True),
        jobs.Disk("/proc/self/fd/9", "qcow2", 16, (9,)),
        jobs.Script("/os/x/export", "/os/x", {"OSP_PASSWORD": "s3cret"}),
    ],
)
def test_a_job_comes_out_as_it_went_in(end: jobs.End) -> None:
    job = jobs.Job(
        mode="export", folder="/f", log="/l", key="/k", certificate="/c", authority="/a", end=end
    )
    assert jobs.decode(jobs.encode(job)) == job


@pytest.mark.parametrize("data", [b"", b"{}", b"\xff"])
def test_what_is_no_job_is_refused(data: bytes) -> None:
    with pytest.raises(errors.Damaged):
        jobs.decode(data)


def test_another_versions_job_is_refused() -> None:
    job = jobs.Job(
        mode="import", folder="", log="", key="", certificate="", authority="",
        end=jobs.File(3), version=2,
    )  # fmt: skip
    with pytest.raises(errors.Damaged, match="version 2"):
        jobs.decode(jobs.encode(job))
