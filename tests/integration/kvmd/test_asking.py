"""What people and programs are told: list, stops, why, follow, hooks, metrics."""

import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lab import daemons, guests, qemus

pytestmark = [pytest.mark.qemu, pytest.mark.skipif(bool(qemus.why_not()), reason=qemus.why_not())]

DO = guests.Command

HOOK = """#!/bin/sh
to="$0.said.$GANETI_STOP_NAME"
{ env | grep -E '^GANETI_STOP_(NAME|CAUSE|PID|MARKER)=' | sort; cat; } >"$to.new"
mv "$to.new" "$to"
"""


@pytest.fixture(scope="module")
def told() -> Iterator[tuple[daemons.Kvmd, dict[str, qemus.Qemu]]]:
    """One daemon with hooks and metrics that has seen four guests, of which one goes on."""
    with qemus.Qemus() as node:
        hooks = node.root / "hooks"
        hooks.mkdir()
        for name, text in (("10-tell", HOOK), ("20-fails", "#!/bin/sh\nexit 3\n")):
            (hooks / name).write_text(text)
            (hooks / name).chmod(0o755)
        arguments = ("--hooks-dir", str(hooks), "--metrics-file", str(node.root / "kvmd.prom"))
        with daemons.Kvmd(node, *arguments) as kvmd:
            names = ("off", "quit", "asked", "runs")
            found = {name: node.start(name, guests.polite()).wait_up() for name in names}
            kvmd.wait_watching(*found.values())
            found["off"].say(DO.POWER_OFF)
            kvmd.wait_stop(found["off"])
            found["quit"].quit()
            kvmd.wait_stop(found["quit"])
            found["asked"].press_power_button()
            kvmd.wait_stop(found["asked"])
            yield kvmd, found


Told = tuple[daemons.Kvmd, dict[str, qemus.Qemu]]


def lines(done: "subprocess.CompletedProcess[str]") -> list[dict[str, object]]:
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def test_list_shows_what_is_watched(told: Told) -> None:
    kvmd, found = told
    shown = kvmd.ask("list")
    assert shown.returncode == 0
    assert str(found["runs"].pid) in shown.stdout
    assert "off" not in shown.stdout.split()
    rows = {str(row["kind"]): row for row in lines(kvmd.ask("list", "--json"))}
    assert rows["daemon"]["running"] is True
    assert rows["watched"]["name"] == "runs"
    assert rows["watched"]["pid"] == found["runs"].pid
    assert rows["watched"]["attached"] is True


def test_stops_shows_history_and_can_be_narrowed(told: Told) -> None:
    kvmd, _ = told
    rows = lines(kvmd.ask("stops", "--json"))
    assert [(row["name"], row["cause"]) for row in rows] == [
        ("off", "user-poweroff"),
        ("quit", "admin-quit"),
        ("asked", "admin-shutdown"),
    ]
    assert [row["name"] for row in lines(kvmd.ask("stops", "--json", "quit"))] == ["quit"]
    by_cause = kvmd.ask("stops", "--json", "--cause", "user-poweroff")
    assert [row["name"] for row in lines(by_cause)] == ["off"]
    assert [row["name"] for row in lines(kvmd.ask("stops", "--json", "--limit", "1"))] == ["asked"]
    assert len(lines(kvmd.ask("stops", "--json", "--since", "1h"))) == 3
    assert lines(kvmd.ask("stops", "--json", "--since", "2999-01-01")) == []
    table = kvmd.ask("stops").stdout
    assert "user-poweroff" in table
    assert "admin-quit" in table


def test_why_tells_the_story_with_its_timeline(told: Told) -> None:
    kvmd, found = told
    story = kvmd.ask("why", "asked").stdout
    assert "admin-shutdown" in story
    assert str(found["asked"].pid) in story
    assert story.index("power button") < story.rindex("the guest was shut down")
    assert kvmd.ask("why", "nobody").returncode == 1


def test_follow_shows_each_stop_as_it_is_recorded(told: Told) -> None:
    kvmd, _ = told
    qemu = kvmd.node.start("later", guests.stubborn())
    kvmd.wait_watching(qemu)
    with subprocess.Popen(
        [*daemons.COMMAND, "follow", "--json", "--after", "2"],
        stdout=subprocess.PIPE,
        env=kvmd.environment,
    ) as follower:
        try:
            assert follower.stdout is not None
            assert json.loads(follower.stdout.readline())["name"] == "asked"
            qemu.say(DO.POWER_OFF)
            row = json.loads(follower.stdout.readline())
            assert (row["name"], row["cause"]) == ("later", "user-poweroff")
            assert time.time() - row["recorded"] < 5
        finally:
            follower.terminate()


def test_hooks_are_told_of_every_stop_in_environment_and_on_stdin(told: Told) -> None:
    kvmd, found = told
    said = kvmd.node.root / "hooks/10-tell.said.off"
    qemus.wait_until(said.exists, what="the hook")
    *environment, row = said.read_text().splitlines()
    assert environment == [
        "GANETI_STOP_CAUSE=user-poweroff",
        "GANETI_STOP_MARKER=yes",
        "GANETI_STOP_NAME=off",
        f"GANETI_STOP_PID={found['off'].pid}",
    ]
    assert json.loads(row)["cause"] == "user-poweroff"
    kvmd.wait_logged("a hook failed", "hook=20-fails", "name=off", "status=3")


def test_metrics_are_written_in_prometheus_text_format(node: qemus.Qemus) -> None:
    path = node.root / "kvmd.prom"
    with daemons.Kvmd(node, "--metrics-file", str(path)) as kvmd:
        ended, runs = (node.start(name, guests.stubborn()) for name in ("web1", "web2"))
        kvmd.wait_watching(ended, runs)
        ended.say(DO.POWER_OFF)
        kvmd.wait_stop(ended)
        assert kvmd.stop() == 0
    found = samples(path)
    assert found['ganeti_kvmd_stops_total{cause="user-poweroff"}'] == 1
    assert found['ganeti_kvmd_stops_total{cause="killed"}'] == 0
    assert found["ganeti_kvmd_watched_guests"] == 1
    assert found["ganeti_kvmd_rescans_total"] >= 1
    assert found["ganeti_kvmd_verdict_seconds_count"] == 1
    assert found['ganeti_kvmd_verdict_seconds_bucket{le="+Inf"}'] == 1


def samples(path: Path) -> dict[str, float]:
    rows = [line.rpartition(" ") for line in path.read_text().splitlines() if line[0] != "#"]
    return {name: float(value) for name, _, value in rows}


def test_questions_are_answered_when_the_daemon_is_gone(told: Told, node: qemus.Qemus) -> None:
    with daemons.Kvmd(node) as kvmd:
        assert kvmd.stop() == 0
        rows = lines(kvmd.ask("list", "--json"))
        assert rows[0]["running"] is False
        assert lines(kvmd.ask("stops", "--json")) == []
