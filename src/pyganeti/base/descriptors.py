"""The process's own limit of open descriptors."""

import os
import resource


def raise_limit() -> int:
    """Raise the soft limit to the hard one, and return the limit that is now in force."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        soft = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return soft


def open_count() -> int:
    """Return how many descriptors are open."""
    return len(os.listdir("/proc/self/fd")) - 1
