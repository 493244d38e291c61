"""Finding and ending what was started for a purpose, whoever its parent is by now."""

import asyncio
import os
import subprocess
import time
from pathlib import Path

from pyganeti.base import descent

_VARIABLE = "PYGANETI_TEST_PURPOSE"


def test_all_that_a_purpose_has_started_is_found_and_ended(tmp_path: Path) -> None:
    own = f"{os.getpid()} of {tmp_path}"
    environment = {**os.environ, _VARIABLE: own}
    # The shell's child becomes nobody's, in a session of its own.
    script = f"setsid sleep 600 & echo $! >{tmp_path}/orphan; exec sleep 600"
    with subprocess.Popen(["sh", "-c", script], env=environment) as shell:
        deadline = time.monotonic() + 20
        while len(found := dict(descent.find(_VARIABLE))) < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert set(found.values()) == {own}
        assert asyncio.run(descent.end(_VARIABLE, lambda value: value == "another's")) == []
        assert shell.poll() is None
        killed = asyncio.run(descent.end(_VARIABLE, lambda value: value == own))
        assert set(killed) >= {shell.pid, int((tmp_path / "orphan").read_text())}
        shell.wait(20)
    assert dict(descent.find(_VARIABLE)) == {}


def test_what_may_not_be_seen_is_passed_over(tmp_path: Path) -> None:
    for pid, content in (("1", b""), ("2", b"A=b\0X=1\0"), ("3", b"XX=1\0A=X=1\0")):
        (tmp_path / pid).mkdir()
        (tmp_path / pid / "environ").write_bytes(content)
    (tmp_path / "4").mkdir()
    (tmp_path / "self").mkdir()
    assert list(descent.find("X", proc=str(tmp_path))) == [(2, "1")]
