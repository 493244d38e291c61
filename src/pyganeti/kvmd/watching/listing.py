"""Which names are in a directory, told by two witnesses: events and scans. Pure.

Events come late but in order; a scan is the present, seen in slices while events go on. Where both
speak of a name, the events win: the last one of a name is still to come or is the truth. A name of
which no event spoke during a scan is as the scan saw it. After an overflow of the events a new scan
must be begun, and only that one is believed.

Invariant: ``names`` is what the teller has been told, no more and no less: each name is added and
removed by exactly the call that says so.
"""


class Listing:
    """The names known, and a scan that may be under way."""

    __slots__ = ("_touched", "_unseen", "names")

    def __init__(self) -> None:
        self.names: set[str] = set()
        self._unseen: set[str] | None = None
        self._touched: set[str] = set()

    def come(self, name: str) -> None:
        """Take an event: the name came into being, or was put in another's place."""
        self._touch(name)
        self.names.add(name)

    def gone(self, name: str) -> bool:
        """Take an event: the name is no more. Return whether that is news."""
        self._touch(name)
        if name not in self.names:
            return False
        self.names.remove(name)
        return True

    def begin(self) -> None:
        """Begin a scan; one under way is given up."""
        self._unseen = self.names.copy()
        self._touched = set()

    def saw(self, name: str) -> bool:
        """Take a name that the scan under way saw. Return whether that is news."""
        if self._unseen is None or name in self._touched:
            return False
        self._unseen.discard(name)
        if name in self.names:
            return False
        self.names.add(name)
        return True

    def missed(self) -> str | None:
        """Return one more name that the whole scan did not see, and forget it; None ends the scan.

        To be called, until it returns None, once everything in the directory has been given to
        `saw`.
        """
        if not self._unseen:
            self.abandon()
            return None
        name = self._unseen.pop()
        self.names.discard(name)
        return name

    def abandon(self) -> None:
        """End the scan without concluding anything from what it has not seen."""
        self._unseen = None
        self._touched = set()

    def _touch(self, name: str) -> None:
        if self._unseen is not None:
            self._touched.add(name)
            self._unseen.discard(name)
