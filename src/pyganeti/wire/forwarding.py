"""A LUXI request handed on by a daemon that stands by, and what became of it.

The call is ``master_request [blob, seconds]`` of a node daemon, ours: the blob is a request without
its end, the seconds are for its answer. What matters to whoever hands on is whether anything can
have been done: only after ``broken`` that is not known.
"""

from typing import Any, Final, Literal, TypeAlias

import msgspec

CALL: Final = "master_request"

LONGEST: Final = 180.0
"""Seconds that a request may take."""

Fate: TypeAlias = Literal["answered", "absent", "busy", "broken"]
"""``absent``: no leading master daemon there; ``busy``: too many are being handed on; of both
nothing was done. ``broken``: the daemon took it and did not answer."""


class Handed(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a request."""

    fate: Fate
    answer: list[Any] | None = None
    """A blob: the answer without its end."""

    why: str = ""
