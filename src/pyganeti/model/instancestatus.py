"""What an instance's state is called: from what its node says, and from what is wanted of it.

Pure, and Ganeti's table to the letter: everything that shows a status shows one of these words. A
node that could not be asked is not a stopped instance; it has words of its own.
"""

import enum
from typing import Final


class Seen(enum.Enum):
    """What is known of an instance's process."""

    RUNNING = "running"
    """On its primary node."""

    SHUTDOWN = "shutdown"
    """The process is gone, and its node knows that its user shut it down from inside."""

    ABSENT = "absent"
    """The primary node answers, and knows nothing of it."""

    ELSEWHERE = "elsewhere"
    """On a node that is not its primary one."""

    NODE_DOWN = "nodedown"
    """The primary node does not answer."""

    NODE_OFFLINE = "nodeoffline"
    """The primary node is marked offline and not asked."""


RUNNING: Final = "running"
ADMIN_DOWN: Final = "ADMIN_down"
ADMIN_OFFLINE: Final = "ADMIN_offline"
USER_DOWN: Final = "USER_down"
ERROR_UP: Final = "ERROR_up"
ERROR_DOWN: Final = "ERROR_down"
ERROR_WRONG_NODE: Final = "ERROR_wrongnode"
ERROR_NODE_DOWN: Final = "ERROR_nodedown"
ERROR_NODE_OFFLINE: Final = "ERROR_nodeoffline"

_NO_MATTER_WHAT: Final = {
    Seen.ELSEWHERE: ERROR_WRONG_NODE,
    Seen.NODE_DOWN: ERROR_NODE_DOWN,
    Seen.NODE_OFFLINE: ERROR_NODE_OFFLINE,
}


def status(
    seen: Seen,
    admin_state: str,
    admin_source: str,
    *,
    cluster_allows: bool,
    instance_allows: bool,
) -> str:
    """Return the word for it.

    ``admin_state`` is up, down or offline, or empty for an instance that does not exist yet;
    ``admin_source`` is who wanted that, admin or user. ``cluster_allows`` and ``instance_allows``
    are the two switches for shutdowns from inside.
    """
    if seen in _NO_MATTER_WHAT:
        return _NO_MATTER_WHAT[seen]
    if admin_state == "up":
        if seen is Seen.RUNNING:
            return RUNNING
        if seen is Seen.SHUTDOWN and cluster_allows and instance_allows:
            return USER_DOWN
        return ERROR_DOWN
    if seen is Seen.RUNNING:
        return ERROR_UP
    if seen is Seen.SHUTDOWN:
        return ADMIN_DOWN
    if admin_state == "offline":
        return ADMIN_OFFLINE
    if admin_state == "down" and admin_source == "user" and cluster_allows:
        return USER_DOWN
    return ADMIN_DOWN


_SHUTDOWN: Final = 1


def is_shutdown(state: object) -> bool:
    """Tell whether the state in a node's answer about an instance means: shut down by its user."""
    return state == _SHUTDOWN and not isinstance(state, bool)
