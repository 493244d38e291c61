"""Who had a job done, and why, in words: from its reason trail. Pure.

What a client says of itself (its command, its reason) is what it says; who it was is the kernel's
word, where there is an entry of the master daemon's.
"""

from pyganeti.wire import reasontrail
from pyganeti.words import pages


def author(trail: object) -> str:
    """Return who submitted a job and by what means, "" if nothing is known of that.

    Such as ``by root (logged in as alice) with gnt-instance shutdown``.
    """
    entries = list(reasontrail.entries(trail))
    if reasontrail.is_watchers(entries):
        return "by the watcher"
    told = []
    if (peer := reasontrail.peer_of(entries)) is not None:
        who = pages.shown(peer.user) or f"user {peer.uid}"
        login = f" (logged in as {pages.shown(peer.login)})" if peer.login else ""
        where = f" on {pages.shown(peer.node)}" if peer.node else ""
        told.append(f"by {who}{login}{where}")
    if means := _means(entries):
        told.append(f"with {means}")
    return " ".join(told)


def reason(trail: object) -> str:
    """Return the words that people gave as the reason, "" if they gave none."""
    given = [text for source, text, _ in reasontrail.entries(trail) if source == reasontrail.USER]
    return pages.shown("; ".join(text for text in given if text))


def _means(entries: list[reasontrail.Entry]) -> str:
    for source, text, _ in entries:
        if source.startswith(reasontrail.CLIENT):
            return pages.shown(f"{source.removeprefix(reasontrail.CLIENT)} {text}".strip())
        if source.startswith(reasontrail.LIBRARY):
            return "the REST interface"
    return ""
