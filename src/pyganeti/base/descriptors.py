"""How many descriptors this process may have, and how many it has."""

import os
import resource


def raise_limit() -> int:
    """Raise the soft limit on descriptors to the hard one; return what holds afterwards.

    Never raises: where it is not permitted, the old limit is returned. Programs started later
    inherit the limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == hard:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    except (OSError, ValueError):
        return soft
    return hard


def open_count() -> int:
    """Return how many descriptors are open. Takes time with their number; not for hot paths."""
    listed = os.listdir("/proc/self/fd")  # noqa: PTH208 - a number, no paths
    return len(listed) - 1  # one was open to list them
