"""The service as a whole: what holds between its parts."""

from lab import listening, oneloop


def _lose_journal(kvmd: oneloop.Kvmd) -> None:
    for file in kvmd.journal.parent.glob(f"{kvmd.journal.name}*"):
        if file.suffix != ".lock":
            file.unlink()


async def test_journal_begun_anew_before_any_stop_knows_the_guests_again(
    kvmd: oneloop.Kvmd,
) -> None:
    kvmd.start()
    kvmd.qemu("web1")
    await kvmd.see_watched("web1")
    _lose_journal(kvmd)
    kvmd.qemu("web2")
    await kvmd.see_watched("web2")
    await listening.until(lambda: "web1" in kvmd.watched())
