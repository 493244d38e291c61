"""Out-of-memory counts: real kills where a cgroup can be made, and files of the real formats."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pyganeti.base import oomcount

_LIMIT = 16 * 1024 * 1024


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Host:
    """A root with /proc and cgroup hierarchies as the kernel shows them."""

    def __init__(self, root: Path, *mounts: str) -> None:
        self.root = root
        (root / "proc/self").mkdir(parents=True)
        lines = ["22 1 8:1 / / rw,relatime - ext4 /dev/sda1 rw", *mounts]
        (root / "proc/self/mountinfo").write_text("".join(f"{line}\n" for line in lines))
        self.kills = 0
        self.kill_on_host(0)

    def kill_on_host(self, number: int = 1) -> None:
        self.kills += number
        (self.root / "proc/vmstat").write_text(f"nr_free_pages 5\noom_kill {self.kills}\npgfree 1")

    def run(self, pid: int, *lines: str) -> None:
        (self.root / f"proc/{pid}").mkdir()
        told = "".join(f"{line}\n" for line in lines)
        (self.root / f"proc/{pid}/cgroup").write_text(told)

    def v2(self, path: str, kills: int = 0, *, local: int | None = None) -> Path:
        """Make or change a v2 cgroup; with ``local``, memory.events.local says that number."""
        directory = self.root / "sys/fs/cgroup" / path.lstrip("/")
        directory.mkdir(parents=True, exist_ok=True)
        told = "low 0\nhigh 0\nmax 3\noom 1\noom_kill {}\noom_group_kill 9\n"
        (directory / "memory.events").write_text(told.format(kills))
        if local is not None:
            (directory / "memory.events.local").write_text(told.format(local))
        return directory

    def remove(self, path: str) -> None:
        directory = self.root / "sys/fs/cgroup" / path.lstrip("/")
        for file in directory.iterdir():
            file.unlink()
        directory.rmdir()

    def group_of(self, pid: int) -> oomcount.Group:
        group = oomcount.group_of(pid, root=str(self.root))
        assert group is not None
        return group

    def counter(self, clock: Clock | None = None) -> oomcount.Counter:
        return oomcount.Counter(root=str(self.root), clock=clock or Clock())


_V2 = "31 22 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot"
_V1 = "35 22 0:30 / /sys/fs/cgroup/memory rw,nosuid shared:9 - cgroup cgroup rw,memory"
_V1_CPU = "36 22 0:31 / /sys/fs/cgroup/cpu rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct"


@pytest.fixture
def v2(tmp_path: Path) -> Host:
    return Host(tmp_path, _V2)


# The files, as the kernel writes them.


def test_a_v2_group_is_found_and_its_own_kills_are_read(v2: Host) -> None:
    v2.v2("/machine.slice/web1.scope", 7, local=2)
    v2.run(5, "0::/machine.slice/web1.scope")
    group = v2.group_of(5)
    assert group.name == "/machine.slice/web1.scope"
    assert oomcount.kills(group) == 2


def test_a_kernel_without_local_events_tells_all_events(v2: Host) -> None:
    v2.v2("/a", 7)
    v2.run(5, "0::/a")
    assert oomcount.kills(v2.group_of(5)) == 7


def test_without_the_controller_the_nearest_ancestor_counts(v2: Host) -> None:
    v2.v2("/a", 4, local=4)
    (v2.root / "sys/fs/cgroup/a/b/c").mkdir(parents=True)
    v2.run(5, "0::/a/b/c")
    assert v2.group_of(5).name == "/a"


def test_the_root_of_v2_has_no_count(v2: Host) -> None:
    v2.run(5, "0::/")
    assert oomcount.group_of(5, root=str(v2.root)) is None


def test_the_hierarchy_with_the_memory_controller_is_taken(tmp_path: Path) -> None:
    host = Host(tmp_path, _V1_CPU, _V1, _V2.replace("/sys/fs/cgroup ", "/sys/fs/cgroup/unified "))
    directory = tmp_path / "sys/fs/cgroup/memory/qemu"
    directory.mkdir(parents=True)
    told = "oom_kill_disable 0\nunder_oom 0\noom_kill 3\n"
    (directory / "memory.oom_control").write_text(told)
    host.run(5, "4:memory:/qemu", "1:cpu,cpuacct:/", "0::/system.slice")
    group = host.group_of(5)
    assert group.name == "/qemu"
    assert not group.inherits
    assert oomcount.kills(group) == 3


def test_a_bound_mount_shows_a_part_of_the_hierarchy(tmp_path: Path) -> None:
    host = Host(tmp_path, _V2.replace("0:26 / ", "0:26 /docker/1 "))
    host.v2("/qemu", 1, local=1)
    host.run(5, "0::/docker/1/qemu")
    host.run(6, "0::/docker/11/qemu")
    assert oomcount.kills(host.group_of(5)) == 1
    assert oomcount.group_of(6, root=str(tmp_path)) is None


def test_names_with_blanks_colons_and_bytes_are_found(tmp_path: Path) -> None:
    host = Host(tmp_path, _V2.replace("/sys/fs/cgroup", "/sys/fs/c\\040g"))
    name = os.fsdecode(b"/a b:c\xff")
    directory = tmp_path / "sys/fs/c g" / name.lstrip("/")
    directory.mkdir(parents=True)
    (directory / "memory.events").write_text("oom_kill 1\n")
    (tmp_path / "proc/5").mkdir()
    (tmp_path / "proc/5/cgroup").write_bytes(b"0::" + os.fsencode(name) + b"\n")
    assert host.group_of(5).name == name


@pytest.mark.parametrize("told", ["", "garbage\n", "0::/../../x\n", "0::/gone\n", "1:cpu:/\n", ":"])
def test_what_cannot_be_placed_is_no_group(v2: Host, told: str) -> None:
    v2.run(5)
    (v2.root / "proc/5/cgroup").write_text(told)
    assert oomcount.group_of(5, root=str(v2.root)) is None


def test_a_process_that_is_gone_has_no_group(v2: Host) -> None:
    assert oomcount.group_of(99, root=str(v2.root)) is None


@pytest.mark.parametrize("told", ["", "oom_kill\n", "oom_kill x\n", "oom_kill -1\n", "oom 4\n"])
def test_a_count_that_is_not_there_is_none(v2: Host, told: str) -> None:
    directory = v2.v2("/a", 1)
    v2.run(5, "0::/a")
    group = v2.group_of(5)
    (directory / "memory.events").write_text(told)
    assert oomcount.kills(group) is None


# Who is given a kill.


def test_a_kill_accounts_for_one_stop_only(v2: Host) -> None:
    v2.v2("/all", 3, local=3)
    v2.run(5, "0::/all")
    counter = v2.counter()
    for key in "abc":
        counter.watch(key, v2.group_of(5))
    assert counter.take("a") == (0, "cgroup /all")
    v2.kill_on_host(2)
    v2.v2("/all", 5, local=5)
    assert counter.take("a") == (2, "cgroup /all")
    assert counter.take("b") == (1, "cgroup /all")
    assert counter.take("c") == (0, "cgroup /all")


def test_a_count_that_stands_still_is_a_no_whatever_the_host_says(v2: Host) -> None:
    v2.v2("/a", 0, local=0)
    v2.run(5, "0::/a")
    counter = v2.counter()
    counter.watch("a", v2.group_of(5))
    v2.kill_on_host()
    assert counter.take("a") == (0, "cgroup /a")


def test_when_the_group_is_gone_its_parent_tells(v2: Host) -> None:
    v2.v2("/slice", 1)
    v2.v2("/slice/a", 1, local=1)
    v2.v2("/slice/b", 0, local=0)
    v2.run(5, "0::/slice/a")
    v2.run(6, "0::/slice/b")
    counter = v2.counter()
    counter.watch("a", v2.group_of(5))
    counter.watch("b", v2.group_of(6))
    v2.kill_on_host()
    v2.v2("/slice", 2)
    v2.remove("/slice/a")
    v2.remove("/slice/b")
    assert counter.take("a") == (1, "cgroup /slice")
    assert counter.take("b") == (0, "cgroup /slice")


def test_a_kill_taken_from_a_group_is_taken_from_its_parent_too(v2: Host) -> None:
    v2.v2("/slice")
    for pid, name in ((5, "a"), (6, "b")):
        v2.v2(f"/slice/{name}", 0, local=0)
        v2.run(pid, f"0::/slice/{name}")
    counter = v2.counter()
    counter.watch("a", v2.group_of(5))
    counter.watch("b", v2.group_of(6))
    v2.kill_on_host()
    v2.v2("/slice", 1)
    v2.v2("/slice/a", 1, local=1)
    assert counter.take("a") == (1, "cgroup /slice/a")
    v2.remove("/slice/b")
    assert counter.take("b") == (0, "cgroup /slice")
    v2.remove("/slice/a")
    v2.remove("/slice")
    assert counter.take("b") == (0, "the host")


def test_a_new_group_under_an_old_name_is_not_taken_for_the_old_one(v2: Host) -> None:
    old = v2.v2("/a", 0, local=0)
    v2.run(5, "0::/a")
    counter = v2.counter()
    counter.watch("old", v2.group_of(5))
    v2.kill_on_host()
    old.rename(v2.root / "removed")  # so that no inode is used again
    v2.v2("/a", 0, local=0)
    counter.watch("new", v2.group_of(5))
    assert counter.take("old") == (1, "the host")
    assert counter.take("new") == (0, "cgroup /a")


def test_a_guest_without_a_group_is_looked_up_in_the_hosts_count(v2: Host) -> None:
    counter = v2.counter()
    assert counter.take("unknown") == (0, "the host")
    v2.kill_on_host()
    assert counter.take("unknown") == (1, "the host")
    assert counter.take("another") == (0, "the host")


def test_without_any_count_it_says_so(v2: Host) -> None:
    (v2.root / "proc/vmstat").write_text("nr_free_pages 5\n")
    assert v2.counter().take("a") == (0, "")


def test_forgetting_gives_back_what_was_held(v2: Host) -> None:
    v2.v2("/slice")
    counter = v2.counter()
    for pid in range(50):
        v2.v2(f"/slice/{pid}", 0, local=0)
        v2.run(pid, f"0::/slice/{pid}")
        counter.watch(pid, v2.group_of(pid))
        counter.watch(pid, v2.group_of(pid))
    for pid in (*range(50), 3, "unknown"):
        counter.forget(pid)
    assert counter.groups == 0


# Kills that nobody was stopped by.


def _refresh_for(counter: oomcount.Counter, clock: Clock, seconds: float) -> None:
    for _ in range(int(seconds)):
        clock.now += 1
        counter.refresh()


def test_a_kill_that_stopped_nobody_is_forgotten_in_time(v2: Host) -> None:
    v2.v2("/all", 0, local=0)
    v2.run(5, "0::/all")
    clock = Clock()
    counter = v2.counter(clock)
    counter.watch("a", v2.group_of(5))
    v2.v2("/all", 1, local=1)
    v2.kill_on_host()
    _refresh_for(counter, clock, 60)
    assert counter.take("a") == (0, "cgroup /all")
    counter.forget("a")
    assert counter.take("a") == (0, "the host")


def test_a_kill_is_remembered_until_its_qemu_is_dead(v2: Host) -> None:
    v2.v2("/all", 0, local=0)
    v2.run(5, "0::/all")
    clock = Clock()
    counter = v2.counter(clock)
    counter.watch("a", v2.group_of(5))
    _refresh_for(counter, clock, 60)
    v2.v2("/all", 1, local=1)
    v2.kill_on_host()
    _refresh_for(counter, clock, 9)
    assert counter.take("a") == (1, "cgroup /all")


def test_many_groups_are_gone_through_in_bites(v2: Host) -> None:
    clock = Clock()
    counter = v2.counter(clock)
    for pid in range(200):
        v2.v2(f"/{pid}", 0, local=0)
        v2.run(pid, f"0::/{pid}")
        counter.watch(pid, v2.group_of(pid))
    for pid in range(200):
        v2.v2(f"/{pid}", 1, local=1)
    v2.kill_on_host(200)
    _refresh_for(counter, clock, 60)
    assert [counter.take(pid)[0] for pid in range(200)] == [0] * 200


# The real thing.


def _wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + 10
    while not condition():
        assert time.monotonic() < deadline, "the condition has not come about"
        os.sched_yield()


def _remove(directory: Path) -> None:
    def removed() -> bool:
        try:
            directory.rmdir()
        except FileNotFoundError:
            return True
        except OSError:  # EBUSY: the last process is not quite gone
            return False
        return True

    _wait_for(removed)


@pytest.fixture
def cgroup() -> Iterator[Path]:
    """Make a cgroup with a small memory limit beneath our own."""
    own = oomcount.group_of(os.getpid())
    if own is None:
        pytest.skip("needs a memory cgroup that can be seen from here")
    directory = Path(own.file).parent / f"pyganeti-test-{os.getpid()}"
    try:
        directory.mkdir()
    except OSError as error:
        pytest.skip(f"needs to make cgroups: {error}")
    try:
        for name in ("memory.max", "memory.limit_in_bytes"):
            if (directory / name).exists():
                (directory / name).write_text(str(_LIMIT))
                break
        else:
            pytest.skip("needs the memory controller for cgroups beneath our own")
        swap = directory / "memory.swap.max"
        if swap.exists():
            swap.write_text("0")
        yield directory
    finally:
        with contextlib.suppress(OSError):
            for pid in (directory / "cgroup.procs").read_text().split():
                os.kill(int(pid), signal.SIGKILL)
        _remove(directory)


@contextlib.contextmanager
def _in(cgroup: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Run a process in the cgroup that eats all memory when it is sent a line."""
    script = f"echo $$ > {cgroup}/cgroup.procs; echo; read line; exec tail /dev/zero"
    with subprocess.Popen(
        ["sh", "-c", script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        bufsize=0,
    ) as child:
        try:
            assert child.stdout is not None
            assert child.stdout.read(1) == b"\n"
            yield child
        finally:
            child.kill()


def _starve(child: subprocess.Popen[bytes]) -> None:
    assert child.stdin is not None
    child.stdin.write(b"go\n")
    assert child.wait(30) == -signal.SIGKILL


@pytest.mark.root
def test_a_real_out_of_memory_kill_is_told_from_a_kill_by_hand(cgroup: Path) -> None:
    with _in(cgroup) as starved, _in(cgroup) as killed, _in(cgroup) as other:
        counter = oomcount.Counter()
        for child in (starved, killed, other):
            group = oomcount.group_of(child.pid)
            assert group is not None
            assert Path(group.file).parent == cgroup
            counter.watch(child.pid, group)
        before = oomcount.host_kills()
        _starve(starved)
        kills, where = counter.take(starved.pid)
        assert kills == 1
        assert where.endswith(cgroup.name)
        killed.kill()
        killed.wait()
        assert counter.take(killed.pid) == (0, where)
        if before is not None:
            assert (oomcount.host_kills() or 0) > before


@pytest.mark.root
def test_a_real_kill_is_still_told_when_the_cgroup_is_gone(cgroup: Path) -> None:
    counter = oomcount.Counter()
    with _in(cgroup) as starved:
        group = oomcount.group_of(starved.pid)
        assert group is not None
        counter.watch(starved.pid, group)
        _starve(starved)
    _remove(cgroup)
    assert oomcount.kills(group) is None
    kills, where = counter.take(starved.pid)
    assert kills >= 1
    assert not where.endswith(cgroup.name)
