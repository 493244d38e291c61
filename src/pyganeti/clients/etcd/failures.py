"""What etcd and the way to it can say, as the errors that a caller can do something about.

The question is always: was it done? An etcd that answers in its own words has not done it, but for
a few of these words; where no answer came, nobody knows. `Unanswered` is that.
"""

from typing import Any, Final

from pyganeti.base import errors
from pyganeti.clients.etcd import stubs


class Unanswered(errors.Unavailable):
    """No member answered in time; whether it was done is not known."""


class Gone(errors.Failure):
    """There is no such lease any more, nor what went with it."""


class Compacted(errors.Failure):
    """That is too long ago: etcd has forgotten it."""


class Taken(errors.Failure):
    """There is a lease of that number already."""


_CODES: Final[dict[Any, type[errors.Failure]]] = {
    stubs.StatusCode.NOT_FOUND: Gone,
    stubs.StatusCode.OUT_OF_RANGE: Compacted,
    stubs.StatusCode.UNAUTHENTICATED: errors.Denied,
    stubs.StatusCode.PERMISSION_DENIED: errors.Denied,
    stubs.StatusCode.INVALID_ARGUMENT: errors.BadInput,
}

_ELSEWHERE: Final = frozenset(
    {
        stubs.StatusCode.UNAVAILABLE,
        stubs.StatusCode.DEADLINE_EXCEEDED,
        stubs.StatusCode.CANCELLED,
        stubs.StatusCode.UNKNOWN,
        stubs.StatusCode.INTERNAL,
    }
)
"""The way to a member or the member itself is at fault: another one may answer."""


def understood(error: Any) -> errors.Failure:  # noqa: ANN401 - gRPC has no types
    """Return what a call's failure means."""
    code, words = error.code(), str(error.details() or error.code().name)
    words = words.removeprefix("etcdserver: ")
    if code is stubs.StatusCode.RESOURCE_EXHAUSTED:
        if "too many requests" in words:
            return Unanswered(f"etcd is too busy: {words}")
        if "larger than max" in words:
            return errors.BadInput(f"etcd does not take so much at once: {words}")
        return errors.Exhausted(f"etcd has no room left: {words}")
    if code is stubs.StatusCode.FAILED_PRECONDITION and "lease already exists" in words:
        return Taken(words)
    if code in _ELSEWHERE:
        return Unanswered(words)
    kind = _CODES.get(code)
    if kind is None:
        return errors.Refused(f"etcd: {words}")
    return kind(f"etcd: {words}")
