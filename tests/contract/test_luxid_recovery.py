"""The watcher's jobs and looks at Ganeti's own master daemon, which does not know our switch."""

from pathlib import Path

import pytest

from lab import clusters, luxids
from pyganeti.clients import luxitasks
from pyganeti.model.cause import Cause
from pyganeti.watcher.recovery import jobs, looking, mentions

pytestmark = [
    pytest.mark.root,
    pytest.mark.skipif(bool(luxids.missing()), reason=luxids.missing() or "all is there"),
    pytest.mark.xdist_group("luxid"),
]


async def test_ganetis_master_takes_our_jobs_without_the_switch_that_it_does_not_know(
    short_dir: Path,
) -> None:
    with luxids.started(short_dir, clusters.small(nodes=1)) as layout:
        master = luxitasks.Client(layout)
        submitting = jobs.Jobs(master)
        numbers = [
            await submitting.start("web1.example.com", Cause.KILLED, 1, "key"),
            await submitting.record("web2.example.com", Cause.USER_POWEROFF, "user", "key"),
            await submitting.give_up("web3.example.com", Cause.KILLED, 5, "key", 1.7e9),
            await submitting.forgive("web3.example.com", 1_700_000_000),
        ]
        history = {job.number: job for job in await looking.history(master)}
        for number in numbers:
            [opcode] = history[number].opcodes
            assert "only_if_down" not in opcode
            assert opcode["reason"][0][0] == "gnt:watcher"
        [attempt] = mentions.attempts(history.values())["web1.example.com"]
        assert (attempt.job, attempt.cause) == (numbers[0], Cause.KILLED)
        view = await looking.look(master, ["web1.example.com", "there.is.none"])
        assert list(view.instances) == ["web1.example.com"]
        master.close()
