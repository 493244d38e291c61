"""Starts a program without holding up anybody but who waits for it; `runner` is how it is used.

The C library's ``posix_spawn`` is called by itself: Python's own ways (`subprocess`, and
`os.posix_spawn`) keep the interpreter's lock until the program has begun, so that no thread of ours
does anything meanwhile. That is a fifth of a millisecond on a machine with nothing else to do, and
was seen to be thirty where ten qemus came up at once on two processors: a new process waits for its
turn like every other. Called here, from a thread, only that thread waits.

The child copies nothing of ours, however large we are. It begins with the signals' default actions
where Python ignores them, in a session of its own, and with the descriptors that it is given.

Needs glibc 2.34 (``posix_spawn_file_actions_addclosefrom_np``).
"""

import contextlib
import ctypes
import errno
import fcntl
import os
import signal
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

_SET_SIGNALS: Final = 0x04  # POSIX_SPAWN_SETSIGDEF of <spawn.h>
_SET_SESSION: Final = 0x80  # POSIX_SPAWN_SETSID
_IGNORED: Final = (signal.SIGPIPE, signal.SIGXFSZ)
_FIRST: Final = 3
"""The first descriptor that is none of the three which every program has."""

_ROOM: Final = 1024
"""Bytes for one of the library's structures: they have 80, 336 and 128."""

_NOT_HERE: Final = (errno.ENOENT, errno.ENOTDIR)
_LIBRARY: Final = ctypes.CDLL(None)


def spawn(
    arguments: Sequence[str | os.PathLike[str]],
    *,
    environment: Mapping[str, str],
    directory: str,
    streams: tuple[int, int, int],
    descriptors: Sequence[int] = (),
) -> int:
    """Start a program and return its pid, once it has begun; nobody else reaps it.

    ``streams`` become its first three descriptors; ``descriptors``, all above those, keep their
    numbers; it has no others. A program without a slash is looked for in the environment's PATH.
    Raises OSError, ValueError where a word has a zero byte. May be called from any thread, and
    blocks until the program has begun.
    """
    words = [os.fsencode(word) for word in arguments]
    settings = [os.fsencode(f"{key}={value}") for key, value in environment.items()]
    if any(b"\0" in word for word in (*words, *settings, os.fsencode(directory))):
        raise ValueError("embedded null byte")  # in the words of Python's own ways
    argv = (ctypes.c_char_p * (len(words) + 1))(*words, None)
    envp = (ctypes.c_char_p * (len(settings) + 1))(*settings, None)
    with contextlib.ExitStack() as made:
        attributes = made.enter_context(_attributes())
        above = [made.enter_context(_above(fd)) for fd in streams]
        actions = made.enter_context(_actions(directory, above, descriptors))
        pid = ctypes.c_int()
        number = errno.ENOENT
        for program in _candidates(words[0], environment):
            said = _LIBRARY.posix_spawn(
                ctypes.byref(pid), ctypes.c_char_p(program), actions, attributes, argv, envp
            )
            if said == 0:
                return pid.value
            # One that is there says what is wrong, if none can be started.
            number = number if said in _NOT_HERE else said
    if number == errno.ENOENT and not Path(directory).is_dir():
        raise OSError(number, os.strerror(number), directory)
    raise OSError(number, os.strerror(number), os.fsdecode(words[0]))


def status(pid: int) -> int | None:
    """Reap a child if it has ended; return its exit code, or its signal's number negated.

    None if it has not ended.
    """
    reaped, how = os.waitpid(pid, os.WNOHANG)
    return os.waitstatus_to_exitcode(how) if reaped else None


def _candidates(program: bytes, environment: Mapping[str, str]) -> Iterator[bytes]:
    if b"/" in program:
        yield program
        return
    for directory in os.get_exec_path(dict(environment)):
        yield os.path.join(os.fsencode(directory), program)  # noqa: PTH118 - bytes


@contextlib.contextmanager
def _above(descriptor: int) -> Iterator[int]:
    """Have a descriptor outside of the first three, whose places are taken one after the other."""
    if descriptor >= _FIRST:
        yield descriptor
        return
    copy = fcntl.fcntl(descriptor, fcntl.F_DUPFD_CLOEXEC, _FIRST)
    try:
        yield copy
    finally:
        os.close(copy)


@contextlib.contextmanager
def _attributes() -> Iterator[Any]:
    attributes = ctypes.create_string_buffer(_ROOM)
    _do(_LIBRARY.posix_spawnattr_init, attributes)
    try:
        ignored = ctypes.create_string_buffer(_ROOM)
        _LIBRARY.sigemptyset(ignored)
        for number in _IGNORED:
            _LIBRARY.sigaddset(ignored, int(number))
        _do(_LIBRARY.posix_spawnattr_setsigdefault, attributes, ignored)
        flags = ctypes.c_short(_SET_SIGNALS | _SET_SESSION)
        _do(_LIBRARY.posix_spawnattr_setflags, attributes, flags)
        yield attributes
    finally:
        _LIBRARY.posix_spawnattr_destroy(attributes)


@contextlib.contextmanager
def _actions(directory: str, streams: Sequence[int], descriptors: Sequence[int]) -> Iterator[Any]:
    actions = ctypes.create_string_buffer(_ROOM)
    _do(_LIBRARY.posix_spawn_file_actions_init, actions)
    try:
        for number, fd in enumerate(streams):
            _do(_LIBRARY.posix_spawn_file_actions_adddup2, actions, fd, number)
        kept = set(descriptors)
        for fd in kept:  # onto itself: what remains of it is that it stays open
            _do(_LIBRARY.posix_spawn_file_actions_adddup2, actions, fd, fd)
        end = max(kept, default=_FIRST - 1) + 1
        for fd in set(range(_FIRST, end)) - kept:
            if _stays_open(fd):
                _do(_LIBRARY.posix_spawn_file_actions_addclose, actions, fd)
        _do(_LIBRARY.posix_spawn_file_actions_addclosefrom_np, actions, end)
        _do(
            _LIBRARY.posix_spawn_file_actions_addchdir_np,
            actions,
            ctypes.c_char_p(os.fsencode(directory)),
        )
        yield actions
    finally:
        _LIBRARY.posix_spawn_file_actions_destroy(actions)


def _stays_open(descriptor: int) -> bool:
    try:
        return os.get_inheritable(descriptor)
    except OSError:
        return False


def _do(function: Callable[..., int], *arguments: object) -> None:
    """Call a function that returns an error's number; raises it."""
    number = function(*arguments)
    if number:
        raise OSError(number, os.strerror(number))
