"""The disk calls that a real master sent, as they stand, in the order in which it sends them.

They name paths below /srv, which is a file system in memory of the test's own for as long as it
runs, in a mount namespace that nobody else sees.
"""

import json
import subprocess
import sys
from pathlib import Path

import pytest

_GOLDEN = Path(__file__).parents[2] / "golden/rpc"
_PLACE = "/srv/ganeti/shared-file-storage"
_ORDER = (
    "file_storage_dir_create", "blockdev_create", "blockdev_getmirrorstatus", "blockdev_assemble",
    "blockdev_shutdown", "blockdev_close", "blockdev_open", "blockdev_remove",
    "file_storage_dir_remove",
)  # fmt: skip

_ASKING = """
import asyncio, json, os, pathlib, sys
from pyganeti.base import paths
from pyganeti.noded import app, calls, settings

root, golden, *order = sys.argv[1:]
layout = paths.Paths(pathlib.Path(root), "node1")
chosen = settings.Settings(layout=layout, bind="127.0.0.1", port=0, certificate=None, key=None,
                           mlock=False)
node = app.make_node(chosen, lambda: None)
table = calls.Table(app.FAMILIES)

async def main():
    answers = []
    for name in order:
        for arguments in json.loads(pathlib.Path(golden, name + ".json").read_text()):
            bound = table.find(name)
            answers.append([name, await bound.call.handler(node, *bound.check(arguments))])
    print(json.dumps([answers, sorted(os.listdir("/srv/ganeti/shared-file-storage"))]))

asyncio.run(main())
"""


def _bodies(name: str) -> list[list[object]]:
    found: list[list[object]] = json.loads((_GOLDEN / f"{name}.json").read_text())
    return found


@pytest.mark.root
def test_recorded_bodies_are_answered_as_ganeti_answers_them(short_dir: Path) -> None:
    config = short_dir / "etc/ganeti"
    config.mkdir(parents=True)
    (config / "file-storage-paths").write_text(f"{_PLACE}\n")
    script = 'mount -t tmpfs srv /srv && exec "$@"'
    done = subprocess.run(
        ["unshare", "--mount", "--propagation", "private", "sh", "-c", script, "sh",
         sys.executable, "-c", _ASKING, str(short_dir), str(_GOLDEN), *_ORDER],
        check=False, capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    if done.returncode and "unshare" in done.stderr:
        pytest.skip(f"needs a mount namespace: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    answers, left = json.loads(done.stdout)
    path = f"{_PLACE}/k1.example.com/33d7ebbd-b907-481b-a9e9-661e4bbe2091.sharedfile.disk0"
    link = f"{short_dir}/var/run/ganeti/instance-disks/k1.example.com:0"
    found: dict[str, list[object]] = {name: [] for name in _ORDER}
    for name, answer in answers:
        found[name].append(answer)
    secondary, primary = [True, True], [path, link, None]
    assert found.pop("blockdev_create") == [["loop", path]]
    assert found.pop("blockdev_getmirrorstatus") == [[]]
    assert found.pop("blockdev_assemble") == [
        primary if body[2] else secondary for body in _bodies("blockdev_assemble")
    ]
    for name, said in found.items():
        assert said == [None] * len(_bodies(name)), name
    assert left == []
