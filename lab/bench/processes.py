"""Guests with a process each, as real ones have, since a process is held by a descriptor too.

The processes are forks of one that do nothing but be greeted and then wait. Each ends with this
program, whatever happens to it.
"""

import contextlib
import ctypes
import gc
import json
import os
import signal
import socket
import time
from pathlib import Path
from typing import Final, NoReturn

from lab.bench import contestants, figures, ground, runs

SIZE: Final = 1000
_GREETING: Final = (
    b'{"QMP": {"version": {"qemu": {"micro": 22, "minor": 2, "major": 7}, "package": ""}, '
    b'"capabilities": ["oob"]}}\r\n'
)
_PATIENCE: Final = 30.0
_PR_SET_PDEATHSIG: Final = 1  # linux/prctl.h


def measure(kind: type[contestants.Contestant], plan: runs.Plan, results: figures.Results) -> None:
    """Measure the memory with a thousand small processes, each with one socket."""
    with ground.Ground(plan.disk) as place, contextlib.ExitStack() as made:
        heard, said = os.pipe()
        made.callback(os.close, heard)
        made.callback(os.close, said)
        os.set_blocking(heard, False)
        gc.freeze()
        for index in range(SIZE):
            made.callback(_end, _fork(place.ctrl_dir / f"guest{index:05}{runs.SUFFIX}", said))
        # All listen before the daemon begins: whether it misses one is another benchmark.
        if not _wait(heard):
            raise TimeoutError("the processes do not listen")
        daemon = made.enter_context(kind(place))
        if not _wait(heard):
            results.remark(kind.title, "pss.processes", "not all were attached")
            return
        time.sleep(1.0)
        daemon.wait_idle()
        results.add(kind.title, "pss.processes", daemon.memory()[0])


def _wait(heard: int) -> bool:
    """Wait until every process has said a word: that it listens, then that it is attached to."""
    count, deadline = 0, time.monotonic() + _PATIENCE
    while count < SIZE and time.monotonic() < deadline:
        with contextlib.suppress(BlockingIOError):
            count += len(os.read(heard, SIZE))
        time.sleep(0.01)
    return count >= SIZE


def _fork(path: Path, said: int) -> int:
    parent = os.getpid()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException):
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGALRM):
                signal.signal(number, signal.SIG_DFL)
            ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() == parent:
                _serve(path, said)
        os._exit(1)
    return pid


def _serve(path: Path, said: int) -> NoReturn:
    """Talk as QEMU does to the one client there will be."""
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(os.fspath(path))
        server.listen(1)
        os.write(said, b".")
        client, _ = server.accept()
        client.sendall(_GREETING)
        held, is_told = b"", False
        while True:
            piece = client.recv(4096)
            if not piece:
                os._exit(0)
            held += piece
            *lines, held = held.split(b"\n")
            for line in lines:
                command = json.loads(line)
                answer = {"return": {"status": "running", "singlestep": False, "running": True}}
                if "id" in command:
                    answer["id"] = command["id"]
                client.sendall(json.dumps(answer).encode() + b"\r\n")
                if not is_told:
                    os.write(said, b".")
                    is_told = True


def _end(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, signal.SIGKILL)
    with contextlib.suppress(ChildProcessError):
        os.waitpid(pid, 0)
