"""What must hold in the end, whatever has happened: judged from what everybody saw and wrote."""

import re

from lab.takeover import candidates, etcd, nodes
from pyganeti.masterd.backing.etcd import jobvalues
from pyganeti.masterd.jobs import lifecycle
from pyganeti.model.config import datafile, entries
from pyganeti.wire import jobfile
from pyganeti.wire.jobfile import Status

_ENTRY = candidates.WHERE.entries


class Judge:
    """Judges one schedule."""

    def __init__(
        self,
        kept: etcd.Etcd,
        everybody: list[nodes.Node],
        diary: candidates.Diary,
        accepted: list[int],
    ) -> None:
        self._etcd = kept
        self._nodes = everybody
        self._diary = diary
        self._accepted = accepted

    def jobs(self) -> dict[int, jobfile.Job]:
        """Return all jobs in etcd."""
        found = {}
        where = candidates.WHERE
        for item in self._etcd.items():
            number = where.number(item.key)
            if number is not None:
                found[number] = jobfile.decode(jobvalues.unpack(item.value), number)
        return found

    def is_at_rest(self) -> bool:
        """Tell whether there is nothing left to do."""
        jobs = self.jobs()
        return all(lifecycle.is_ended(job) for job in jobs.values()) and self._is_led()

    def unrest(self) -> str:
        """Say what is left to do."""
        left = [
            f"job {number} is {lifecycle.status(job).value}"
            for number, job in self.jobs().items()
            if not lifecycle.is_ended(job)
        ]
        return ", ".join(left) if self._is_led() else "nobody leads"

    def verdict(self) -> list[str]:
        """Return what must not be."""
        return [
            *self._diary.broken,
            *self._every_accepted_job_is_there(),
            *self._each_was_begun_at_most_once(),
            *self._results_agree(),
            *self._only_leaders_wrote(),
            *self._numbers_rise(),
        ]

    def _is_led(self) -> bool:
        return self._etcd.item(candidates.WHERE.leader) is not None

    def _every_accepted_job_is_there(self) -> list[str]:
        jobs = self.jobs()
        lost = [f"job {number} was accepted and is gone" for number in self._accepted
                if number not in jobs]  # fmt: skip
        counted = len(set(self._accepted))
        if counted != len(self._accepted):
            lost.append("a number was given out twice")
        return lost

    def _each_was_begun_at_most_once(self) -> list[str]:
        begun = [number for number, _ in self._diary.begun]
        done = [number for node in self._nodes for number, _ in node.done]
        return [
            f"job {number} was {words} {seen.count(number)} times"
            for words, seen in (("begun", begun), ("done", done))
            for number in sorted(set(seen))
            if seen.count(number) > 1
        ]

    def _results_agree(self) -> list[str]:
        done = {number for node in self._nodes for number, _ in node.done}
        begun = {number for number, _ in self._diary.begun}
        tags = self._tags()
        wrong = []
        for number, job in self.jobs().items():
            status = lifecycle.status(job)
            if status is Status.SUCCESS and not (number in done and number in tags):
                wrong.append(f"job {number} ended well, and was not done")
            if status is Status.CANCELED:
                wrong.append(f"job {number} was canceled by nobody")
            # It may have been killed between having it written that it runs, and running it.
            if status is Status.ERROR and number not in begun and not _is_interrupted(job):
                wrong.append(f"job {number} failed, and was not begun")
            if number in done and number not in begun:
                wrong.append(f"job {number} was done, and not begun")
        wrong += [f"job {n} was tagged, and not done" for n in sorted(tags - done)]
        return wrong

    def _only_leaders_wrote(self) -> list[str]:
        """Go through all writes: who wrote had the leader's key at that moment."""
        where = candidates.WHERE
        holder = ""
        wrong = []
        for written in self._etcd.history:
            if written.key == where.leader:
                holder = "" if written.value is None else written.by
            elif written.key != where.epoch and written.by != holder:
                wrong.append(
                    f"{written.by} wrote {written.key.decode()} at revision {written.revision},"
                    f" when {holder or 'nobody'} led"
                )
        return wrong

    def _numbers_rise(self) -> list[str]:
        wrong = []
        last = 0
        for reign in self._diary.reigns:
            if reign.epoch <= last:
                wrong.append(f"{reign.name} led with epoch {reign.epoch}, after {last}")
            last = max(last, reign.epoch)
        highest = 0
        for at, serial, by in self._diary.serials:
            if serial <= highest:
                wrong.append(f"{by} told serial {serial} at {at}, after {highest}")
            highest = max(highest, serial)
        head = self._etcd.item(_ENTRY + entries.HEAD.encode())
        if head is None:
            wrong.append("the configuration is gone")
        elif datafile.serial_of(head.value) < highest:
            wrong.append(f"the configuration's serial is below {highest}, which was told")
        return wrong

    def _tags(self) -> set[int]:
        item = self._etcd.item(_ENTRY + entries.CLUSTER.encode())
        if item is None:
            return set()
        return {int(word) for word in _job_tags(item.value)}


def _job_tags(value: bytes) -> list[str]:
    return re.findall(r'"job(\d+)"', value.decode())


def _is_interrupted(job: jobfile.Job) -> bool:
    return any("Interrupted, because" in str(op.result) for op in job.ops)
