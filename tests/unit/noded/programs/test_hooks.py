"""Hooks of a step: which run, in what environment, and what is told of them."""

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.noded.programs import hooks, localhooks

Write = Callable[[Path, str], Path]


async def test_they_run_by_name_in_that_environment_alone(
    layout: paths.Paths, write: Write, tmp_path: Path
) -> None:
    folder = layout.config_dir / "hooks/instance-add-pre.d"
    write(folder / "20-second", f"echo second >>{tmp_path}/order; echo ' said '")
    write(folder / "10-first", f"echo first >>{tmp_path}/order; env >{tmp_path}/env; exit 1")
    write(folder / "30.sh", "exit 1")
    write(folder / ".hidden", "exit 1")
    (folder / "40-plain").write_text("no program")
    (folder / "50-folder").mkdir()
    told = await hooks.run(
        layout, "instance-add", "pre", {"PATH": "/usr/bin:/bin", "GANETI_HOOKS_PHASE": "pre"}
    )
    assert told == [
        ("instance-add-pre.d/10-first", 1, ""),
        ("instance-add-pre.d/20-second", 2, "said"),
        ("instance-add-pre.d/30.sh", 0, ""),
        ("instance-add-pre.d/40-plain", 0, ""),
        ("instance-add-pre.d/50-folder", 0, ""),
    ]
    assert (tmp_path / "order").read_text() == "first\nsecond\n"
    names = {line.partition("=")[0] for line in (tmp_path / "env").read_text().splitlines()}
    assert names - {"PWD", "SHLVL", "_", "OLDPWD"} == {"PATH", "GANETI_HOOKS_PHASE"}


async def test_one_that_hangs_or_cannot_start_is_told_as_failed(
    layout: paths.Paths, write: Write
) -> None:
    folder = layout.config_dir / "hooks/node-add-post.d"
    write(folder / "a", "echo begun; sleep 60")
    write(folder / "b", "exit 0").write_text("#!/no/such/shell\n")
    told = await hooks.run(layout, "node-add", "post", {"PATH": "/usr/bin:/bin"}, timeout=0.2)
    assert [outcome for _, outcome, _ in told] == [1, 1]
    assert "begun" in told[0][2]
    assert "killed after" in told[0][2]
    assert "Hook script execution error" in told[1][2]


async def test_without_a_folder_nothing_runs(layout: paths.Paths) -> None:
    assert await hooks.run(layout, "instance-add", "pre", {}) == []


@pytest.mark.parametrize(
    ("name", "phase"), [("instance-add", "during"), ("../x", "pre"), ("", "pre"), ("a/b", "post")]
)
async def test_another_step_is_refused(layout: paths.Paths, name: str, phase: str) -> None:
    with pytest.raises(errors.BadInput):
        await hooks.run(layout, name, phase, {})


async def test_an_environment_that_is_none_is_refused(layout: paths.Paths) -> None:
    for environment in ({"A\0": "x"}, {"A": "x\0"}, {"": "x"}, {"A=B": "x"}):
        with pytest.raises(errors.BadInput):
            await hooks.run(layout, "instance-add", "pre", environment)


async def test_local_hooks_are_around_what_is_done(
    layout: paths.Paths, write: Write, tmp_path: Path
) -> None:
    layout.state_dir.mkdir(parents=True)
    layout.ssconf("master_node").write_text("node1.example.com\n")
    for phase in ("pre", "post"):
        write(
            layout.config_dir / f"hooks/master-ip-turnup-{phase}.d/note",
            f"echo {phase} >>{tmp_path}/order; env | grep ^GANETI >{tmp_path}/{phase}",
        )
    about = {"MASTER_IP": "10.0.0.1"}
    async with localhooks.around(layout, "master-ip-turnup", "OP_CLUSTER_IP_TURNUP", about):
        assert (tmp_path / "order").read_text() == "pre\n"
    assert (tmp_path / "order").read_text() == "pre\npost\n"
    before = set((tmp_path / "pre").read_text().splitlines())
    assert {
        "GANETI_MASTER_IP=10.0.0.1",
        "GANETI_MASTER=node1.example.com",
        "GANETI_OP_CODE=OP_CLUSTER_IP_TURNUP",
        "GANETI_HOOKS_PATH=master-ip-turnup",
        "GANETI_HOOKS_PHASE=pre",
        "GANETI_HOOKS_VERSION=2",
        f"GANETI_DATA_DIR={layout.state_dir}",
    } == before
    assert "GANETI_POST_MASTER_IP=10.0.0.1" in (tmp_path / "post").read_text()


async def test_a_local_hook_that_fails_beforehand_forbids_it(
    layout: paths.Paths, write: Write
) -> None:
    write(layout.config_dir / "hooks/master-ip-turnup-pre.d/no", "echo not today; exit 1")
    done = asyncio.Event()
    with pytest.raises(errors.Unavailable, match="not today"):
        async with localhooks.around(layout, "master-ip-turnup", "OP", {}):
            done.set()
    assert not done.is_set()
