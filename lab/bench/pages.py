"""docs/benchmarks.md: what is said about the figures, a part for each daemon.

A part can be measured and written again without the others; each says on which machine that was.
What stands between a part's marks is replaced, and nothing else is touched.
"""

from dataclasses import dataclass
from typing import Any, Final

from lab.bench import figures, reports

HEAD: Final = """\
# Benchmarks

Written by `make bench`. Each daemon's part says on which machine its figures were found. Smaller is
better throughout. Where Debian's packages of Ganeti 3.0 are installed its daemons are measured
beside ours, in turns, in the same run. A ratio is pyganeti's figure divided by Ganeti's. What is
over its target is marked.

`make bench` measures everything and rewrites this page, in half an hour; `make bench
ARGS="--part noded --write-docs"` one daemon's part of it; `make bench ARGS=--quick` less of
everything, and writes nothing; `ARGS="--only latency"` one thing; `ARGS=--help` has the rest. All
figures feel whatever else the machine does meanwhile.
"""

_KVMD: Final = """\
## ganeti-kvmd

Each figure is the median of {runs}. Both daemons were run in turns, each detached, as on a node,
and on simulated QMP servers which greet, negotiate and answer as QEMU does. The control directory
is in memory (as /run is), the journal on disk; every stop of pyganeti's is committed to it before
its marker appears, and synced to the disk right after.
{peer}

{machine}

{table}

What they mean:

- *Not attached or not recorded*: guests that were not connected, not in the journal as watched, or
  whose stop made no marker or no row. Ganeti's daemon keeps no journal.
- *Memory*: `Pss` and `Rss` of `/proc/PID/smaps_rollup`, some seconds after the last guest. PSS
  shares what several processes map, such as the interpreter and the C library, among them. The
  simulated servers are one process; a guest with a process of its own costs a pidfd more.
- *Stop to marker*: from the server's clock just before it sends SHUTDOWN to inotify telling the
  benchmark of `NAME.shutdown`, for {stops} single stops that do not wait for each other. The row is
  committed to the journal before the marker is made, so this includes the commit.
- *Stop to row synced*: until a sync of the journal that the benchmark itself began after the marker
  has returned. From then on the row survives a power failure too; that of pyganeti's own thread for
  this (docs/decisions) is mostly done by then.
- *Stops at once*: from the first SHUTDOWN to the last marker, the last row in the journal, and the
  end of a sync begun after that.
- *Flood*: {lines} harmless lines over {sockets} sockets, as fast as they are read. Growth is the
  peak of the resident memory over what it was before. Meanwhile other guests stop, one by one.
- *Boots*: sockets that are bound, refuse for up to 30 ms, and then listen, so that whoever tries
  only once misses nearly all; and real qemus, 60 at a time, whose guests power themselves off.
- *Idle*: processor time over {idle:.0f} s in which no guest does anything; what is below
  0.05 % counts as nothing.

Ganeti's daemon is measured where ganeti-3.0 and ganeti-haskell-3.0 are installed and mount
namespaces are allowed.
"""

_NODED: Final = """\
## ganeti-noded

Each figure is the median of {runs}. Both daemons ran on the same node of the laboratory (namespaces
of its own), detached, memory locked, over the same guests, and were called over its network and
mutual TLS with keys of 2048 bits. Caller, network and daemon share the machine's processors.
{peer}

{machine}

{table}

What they mean:

- *kept connection, new connection*: from sending the request, or from connecting, to the end of the
  answer, for single calls. Ganeti's daemon ends each connection after one call.
- *One at a time, 20 at once: a call*: time divided by calls, on kept connections for ours, new ones
  for Ganeti's, which has no others. 1000 divided by it is the calls a second; a fifteenth of
  Ganeti's is the target. The line below has new connections for both: there TLS decides.
- *`all_instances_info`*: each on a new connection; guests that sleep, the same for both daemons.
- *Bare qemus*: the command line that the daemon used, run with nobody in between, in turns with the
  daemon. A bare qemu is done when it has detached itself; the daemon's answer comes when the guest
  runs, its disks are linked and its runtime file is written. Both find the place as a stop leaves
  it. The first lines are by connections that were there already, as our own master has one from
  the call before; on new ones there is a TLS handshake each, done by the same processors. Guests
  *left standing* are started paused, as the bare ones are by that line: ten that run take the
  processors from whoever is still to be answered. Bare qemus *whose guests run* have the same line
  without `-S`: like the daemon's, they run as soon as they can. The target holds between like and
  like: standing beside standing, running beside running.
- *Memory*: `Pss` and `Rss` of `/proc/PID/smaps_rollup`. As memory is locked, all that is mapped is
  resident. Ganeti's is that of the daemon alone, without the process that it forks for a call.
- *Growth*: of the resident memory over {calls:,} calls after {warm_up:,} others: `version` on kept
  connections, 3 of 100 on new ones, and a list of 100 guests with every hundredth.
"""


_MASTERD: Final = """\
## ganeti-masterd

Each figure is the median of {runs}.
{peer}

{machine}

{table}

What they mean:

- *Jobs*: at the socket of a daemon over an empty cluster of one node, from sending SubmitJob
  (or SubmitManyJobs) to WaitForJobChange telling of the success. The job is a delay of a
  microsecond, which is the least that Ganeti takes, without locks. Each is synced to the disk three
  times, one after the other: accepted, running, ended. Those who wait are connections in a
  WaitForJobChange: what they cost while nothing happens, what a job takes beside them, and how long
  it is until the last of them knows that what they wait for has ended.
- *Lists*: a question to the running daemon, from connecting to the last byte of the answer: a dozen
  fields of every instance that no node has to be asked for; one instance by its name; those whose
  names a regular expression finds.
- *Configuration*: a change of one instance by the store alone, from the call until it survives a
  power failure; twenty at once, until the last one does; then, at the socket, a job that tags an
  instance, from submit to success. What the store holds is what reading it and a few hundred
  changes add to a process.
- *Start*: from starting the program to its first answer, with the files in the kernel's cache.
  Memory is that of all its processes right then; Ganeti's are two daemons.
- *Instances*: OP_INSTANCE_STARTUP to a master daemon, which has a node daemon start qemu with a
  guest of 512 bytes, emulated; from submit to success. A bare qemu is the same command line, from
  starting it until it has detached itself. Ganeti's is all of it, its own node daemon included, on
  the same machine, over the same configuration and disks.
- *Commands*: from starting the program to its end, on the node of those instances, while ten run;
  `list` asks our master daemon for what it shows by default, which asks the node. Ganeti's is
  Debian's gnt-instance at the same socket.

Ganeti's luxid and wconfd run over the same configuration on the same disk. Their hundreds of jobs
take minutes, and are measured in the first run only.
"""

_WATCHER: Final = """\
## ganeti-watcher

Each figure is the median of {runs}. All daemons of a node that is the master too share the
machine's processors with the guests; each has 512 bytes, and is emulated.
{peer}

{machine}

{table}

What they mean:

- *Killed*: their qemus get SIGKILL. One runs again when the job that starts it has ended well; its
  guest runs by then. Ganeti's watcher looks every five minutes.
- *Until the stop is seen*: kvmd hears of the end, waits for its exit status, records it; the node
  daemon tells the watcher, who waits there for news.
- *At once*: no more than four of a node's instances are started at a time, unless told otherwise.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One daemon's part of the page."""

    key: str
    text: str
    figures: list[figures.Figure]


def part(key: str, catalogue: list[figures.Figure], found: figures.Results, **words: Any) -> Part:  # noqa: ANN401 - as many kinds as the text has
    """Return a part with what was found; ``words`` are what its text has room for."""
    cells = [
        [f"**{cell}**" if cell == "NO" else cell for cell in line]
        for line in reports.rows(found, catalogue)
    ]
    table = ["| " + " | ".join(reports.HEADINGS) + " |"]
    table.append("|---|" + "---:|" * (len(reports.HEADINGS) - 1))
    table += ["| " + " | ".join(line) + " |" for line in cells]
    machine = "\n".join(f"- {name}: {value}" for name, value in words.pop("machine").items())
    text = {"kvmd": _KVMD, "noded": _NODED, "masterd": _MASTERD, "watcher": _WATCHER}[key]
    return Part(key, text.format(table="\n".join(table), machine=machine, **words), catalogue)


def written(before: str, *parts: Part) -> str:
    """Return the page with these parts in it, and those that it had before."""
    kept = {each.key: each.text for each in parts}
    page = HEAD
    for key in ("kvmd", "noded", "masterd", "watcher"):
        begin, end = f"<!-- {key} -->\n", f"<!-- {key}: end -->\n"
        text = kept.get(key)
        if text is None and begin in before:
            text = before.partition(begin)[2].partition(end)[0]
        if text:
            page += f"\n{begin}{text}{end}"
    return page
