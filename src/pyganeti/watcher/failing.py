"""What a pass ends with when it could not do its work: exit codes as Ganeti's watcher has them."""

from typing import Final

from pyganeti.base import errors, log
from pyganeti.clients import luxichannel
from pyganeti.wire import luxierrors

_LOG: Final = log.get(__name__)


def code_of(failure: errors.Failure) -> int:
    """Say what went wrong, and return the exit code.

    A full or a drained queue is nothing that a watcher's caller could do anything about: 0.
    """
    if isinstance(failure, luxichannel.NotMaster):
        _LOG.info("this is not the master", why=str(failure))
        return int(luxierrors.ExitCode.NOT_MASTER)
    if isinstance(failure, luxierrors.QueueDrained | luxierrors.QueueFull):
        _LOG.error("the job queue takes no jobs", why=str(failure))
        return 0
    _LOG.error("the pass was not finished", why=str(failure))
    return 1
