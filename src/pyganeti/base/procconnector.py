"""The kernel's news of ended processes, for kernels whose pidfds do not tell exit statuses.

The proc connector (include/uapi/linux/cn_proc.h) multicasts every fork, exec and exit on the host
over netlink. A socket filter lets through only the exits of first threads, so that a busy host
costs us nothing; the receive buffer is large. What is lost all the same (ENOBUFS) is counted, and
means that an exit status will never be known: nobody may wait for it.

The status is the first thread's: of a process that was ended by a signal it has the signal, but
perhaps not bit 7 (a core was dumped). The event's ``exit_signal`` is SIGCHLD for nearly everything,
says nothing about the end, and is not passed on. The kernel sends to root in the initial pid
namespace only; elsewhere `open` raises `errors.Unavailable`.
"""

import array
import contextlib
import dataclasses
import os
import secrets
import select
import socket
import struct
import sys
from typing import Final

from pyganeti.base import errors, log

_LOG = log.get(__name__)

_NETLINK_CONNECTOR: Final = 11
_PROC_GROUP: Final = 1  # CN_IDX_PROC
_PROC_VALUE: Final = 1  # CN_VAL_PROC
_LISTEN: Final = 1
_IGNORE: Final = 2
_EVENT_NONE: Final = 0  # the answer to a request
_EVENT_EXIT: Final = 0x80000000
_DONE: Final = 3  # NLMSG_DONE

# struct nlmsghdr, struct cn_msg (idx, val, seq, ack, len, flags).
_HEADER: Final = struct.Struct("=IHHII" + "IIIIHH")
# struct proc_event: what, cpu, timestamp; then process_pid, process_tgid, exit_code of an exit.
_EVENT: Final = struct.Struct("=IIQ" + "III")
_ANSWER: Final = struct.Struct("=IIQ" + "I")

_BUFFER: Final = 16 * 1024 * 1024
"""Bytes of receive buffer: some 20,000 exits, taken only while they wait."""

_AT_ONCE: Final = 256
_ANSWER_TIME_MS: Final = 500
_LONGEST: Final = 1024

# Classic BPF (linux/filter.h). Loads bring network order, hence the swapped constants below.
_LOAD_WORD: Final = 0x20  # BPF_LD | BPF_W | BPF_ABS
_LOAD_HALF: Final = 0x28  # BPF_LD | BPF_H | BPF_ABS
_JUMP_EQUAL: Final = 0x15  # BPF_JMP | BPF_JEQ | BPF_K
_JUMP_EQUAL_X: Final = 0x1D  # BPF_JMP | BPF_JEQ | BPF_X
_TO_X: Final = 0x07  # BPF_MISC | BPF_TAX
_RETURN: Final = 0x06  # BPF_RET | BPF_K
_SO_ATTACH_FILTER: Final = 26
_INSTRUCTION: Final = struct.Struct("=HBBI")  # struct sock_filter: code, jt, jf, k


@dataclasses.dataclass(frozen=True, slots=True)
class Ended:
    """The first thread of a process has ended, and with it, unless it went alone, the process."""

    pid: int
    wait_status: int


class ProcConnector:
    """A subscription to ended processes. ``lost`` counts how often the kernel dropped some."""

    def __init__(self) -> None:
        self._socket: socket.socket | None = None
        self.lost = 0

    def open(self) -> None:
        """Subscribe; raises `errors.Unavailable` if the kernel will not have us."""
        opened = None
        try:
            opened = socket.socket(
                socket.AF_NETLINK,
                socket.SOCK_DGRAM | socket.SOCK_NONBLOCK | socket.SOCK_CLOEXEC,
                _NETLINK_CONNECTOR,
            )
            _enlarge(opened)
            _attach_filter(opened)
            opened.bind((0, _PROC_GROUP))
            _subscribe(opened)
        except (OSError, errors.Unavailable) as error:
            if opened is not None:
                opened.close()
            raise errors.Unavailable(f"no news of ended processes: {error}") from error
        self._socket = opened

    def fileno(self) -> int:
        """Return the descriptor to poll; -1 when closed."""
        return -1 if self._socket is None else self._socket.fileno()

    def drain(self) -> list[Ended]:
        """Return what has ended since the last call, oldest first; never waits.

        At most some hundred at a time, so as not to hold the loop: the descriptor stays readable
        when there is more.
        """
        found: list[Ended] = []
        if self._socket is None:
            return found
        for _ in range(_AT_ONCE):
            try:
                data, sender = self._socket.recvfrom(_LONGEST)
            except BlockingIOError:
                break
            except InterruptedError:
                continue
            except OSError as error:  # ENOBUFS, and whatever else would lose us something
                self._lose(error)
                continue
            ended = _exit_of(data) if sender[0] == 0 else None
            if ended is not None:
                found.append(ended)
        return found

    def close(self) -> None:
        """Unsubscribe; twice does no harm."""
        if self._socket is None:
            return
        with contextlib.suppress(OSError):
            self._socket.send(_request(_IGNORE, 0))
        self._socket.close()
        self._socket = None

    def _lose(self, error: OSError) -> None:
        self.lost += 1
        if self.lost & (self.lost - 1) == 0:
            _LOG.warning("news of ended processes was lost", times=self.lost, error=str(error))


def _enlarge(opened: socket.socket) -> None:
    force = getattr(socket, "SO_RCVBUFFORCE", 33)
    try:
        opened.setsockopt(socket.SOL_SOCKET, force, _BUFFER)
    except OSError:  # without CAP_NET_ADMIN, as much as net.core.rmem_max allows
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER)


def _attach_filter(opened: socket.socket) -> None:
    program = array.array("B", _program())
    address, size = program.buffer_info()
    attached = struct.pack("HP", size // _INSTRUCTION.size, address)  # struct sock_fprog
    opened.setsockopt(socket.SOL_SOCKET, _SO_ATTACH_FILTER, attached)


def _program() -> bytes:
    """Pass answers to requests, and exits whose pid is its tgid; drop all else."""
    event = _HEADER.size
    reject, accept = 11, 12
    steps = [
        (_LOAD_HALF, None, None, 4),  # nlmsg_type
        (_JUMP_EQUAL, 2, reject, _swapped(_DONE, 2)),
        (_LOAD_WORD, None, None, 16),  # cn_msg.id.idx
        (_JUMP_EQUAL, 4, reject, _swapped(_PROC_GROUP, 4)),
        (_LOAD_WORD, None, None, event),  # what
        (_JUMP_EQUAL, accept, 6, _swapped(_EVENT_NONE, 4)),
        (_JUMP_EQUAL, 7, reject, _swapped(_EVENT_EXIT, 4)),
        (_LOAD_WORD, None, None, event + 16),  # process_pid
        (_TO_X, None, None, 0),
        (_LOAD_WORD, None, None, event + 20),  # process_tgid
        (_JUMP_EQUAL_X, accept, reject, 0),
        (_RETURN, None, None, 0),
        (_RETURN, None, None, 0xFFFFFFFF),
    ]
    return b"".join(
        _INSTRUCTION.pack(
            code,
            0 if yes is None else yes - position - 1,
            0 if no is None else no - position - 1,
            value,
        )
        for position, (code, yes, no, value) in enumerate(steps)
    )


def _swapped(value: int, size: int) -> int:
    """Return what a load in network order makes of a value that lies in the host's order."""
    return int.from_bytes(value.to_bytes(size, sys.byteorder), "big")


def _request(operation: int, number: int) -> bytes:
    payload = struct.pack("=I", operation)
    header = _HEADER.pack(
        _HEADER.size + len(payload),
        _DONE,
        0,
        0,
        os.getpid(),
        _PROC_GROUP,
        _PROC_VALUE,
        0,
        number,
        len(payload),
        0,
    )
    return header + payload


def _subscribe(opened: socket.socket) -> None:
    """Ask, and see that the kernel says yes: it keeps silent towards those it does not serve."""
    number = secrets.randbits(31)  # comes back as the answer's ack, plus one
    opened.send(_request(_LISTEN, number))
    poll = select.poll()
    poll.register(opened, select.POLLIN)
    for _ in range(_AT_ONCE):
        if not poll.poll(_ANSWER_TIME_MS):
            break
        data, sender = opened.recvfrom(_LONGEST)
        if sender[0] != 0 or len(data) < _HEADER.size + _ANSWER.size:
            continue
        if _HEADER.unpack_from(data)[8] != number + 1:
            continue
        what, _cpu, _at, refusal = _ANSWER.unpack_from(data, _HEADER.size)
        if what == _EVENT_NONE:
            if refusal:
                raise errors.Unavailable(os.strerror(refusal))
            return
    raise errors.Unavailable("the kernel does not answer")


def _exit_of(data: bytes) -> Ended | None:
    if len(data) < _HEADER.size + _EVENT.size:
        return None
    what, _cpu, _at, _pid, tgid, status = _EVENT.unpack_from(data, _HEADER.size)
    return Ended(tgid, status) if what == _EVENT_EXIT else None
