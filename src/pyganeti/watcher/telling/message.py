"""An event as others get it: a JSON object (version 1), or variables in a program's environment.

Keys are stable; new ones may be added, so that readers pass over what they do not know:

``version``   1
``id``        the same whenever the same event is told again: who has seen it may pass over it
``event``     what happened: stopped, restarting, restarted, failed, gave-up, recorded-down, left,
              forgiven
``cluster``   the cluster's name, "" if it is not known on this node
``instance``, ``node``  whom it is about, and where that is
``at``        when it happened, in seconds since 1970
``stopped``   when the guest stopped, or null
``cause``     why it stopped, such as guest-panic
``key``       identifies the qemu that stopped, "" if its stop is on no record
``attempt``   which restart in a row it is, 0 where it is about none
``job``       the job's number, or null
``seconds``   from the stop to the restart, or null
``text``      all of that in words, a sentence

In the environment they are ``GANETI_EVENT``, ``GANETI_INSTANCE``, ``GANETI_ID`` and so on; what is
null there is empty.
"""

import hashlib
from typing import Any, Final

import msgspec

from pyganeti.watcher import events
from pyganeti.words import moments

VERSION: Final = 1
_ID_LENGTH: Final = 32
_ENCODER: Final = msgspec.json.Encoder()

_SENTENCES: Final = {
    events.Kind.STOPPED: "{instance} stopped on {node}, cause {cause}",
    events.Kind.RESTARTING: "{instance} is being restarted on {node} after {cause}",
    events.Kind.RESTARTED: "{instance} was restarted on {node} after {cause}",
    events.Kind.FAILED: "{instance} could not be restarted on {node} after {cause}",
    events.Kind.GAVE_UP: "restarting {instance} on {node} is given up after {cause}",
    events.Kind.RECORDED_DOWN: "{instance} on {node} is recorded as wanted down after {cause}",
    events.Kind.LEFT: "{instance} on {node} is left down after {cause}",
    events.Kind.FORGIVEN: "{instance} on {node} is forgiven",
}


def identity(event: events.Event) -> str:
    """Return an event's id: of what it is about, not of when it was told."""
    of = event.key or (event.stopped if event.stopped is not None else event.at)
    what = (event.kind.value, event.instance, event.node, of, event.attempt, event.job)
    return hashlib.sha256(repr(what).encode(errors="backslashreplace")).hexdigest()[:_ID_LENGTH]


def as_dict(event: events.Event, cluster: str) -> dict[str, Any]:
    """Return the object described above."""
    return {
        "version": VERSION,
        "id": identity(event),
        "event": event.kind.value,
        "cluster": _legible(cluster),
        "instance": _legible(event.instance),
        "node": _legible(event.node),
        "at": event.at,
        "stopped": event.stopped,
        "cause": event.cause.value,
        "key": _legible(event.key),
        "attempt": event.attempt,
        "job": event.job,
        "seconds": event.seconds,
        "text": _legible(sentence(event)),
    }


def sentence(event: events.Event) -> str:
    """Return what happened, whom it is about and why, as one wants to read it on a pager."""
    told = _SENTENCES[event.kind].format(
        instance=event.instance, node=event.node, cause=event.cause.value
    )
    if event.attempt:
        told += f", try {event.attempt}"
    if event.seconds is not None:
        told += f", {moments.duration(event.seconds)} after its stop"
    if event.job is not None:
        told += f" (job {event.job})"
    return f"{told}: {event.text}" if event.text else told


def as_json(event: events.Event, cluster: str) -> bytes:
    """Return it as one line, without its end."""
    return _ENCODER.encode(as_dict(event, cluster))


def as_environment(event: events.Event, cluster: str) -> dict[str, str]:
    """Return it as variables."""
    return {
        f"GANETI_{key.upper()}": "" if value is None else str(value).replace("\0", " ")
        for key, value in as_dict(event, cluster).items()
    }


def _legible(text: str) -> str:
    """Write out what is not Unicode (names come from the file system)."""
    return text.encode(errors="backslashreplace").decode()
