"""The service as a whole: what holds between its parts."""

from lab import listening, oneloop, simulation


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


async def test_all_that_was_said_before_the_end_is_recorded_marked_and_told_to_hooks(
    kvmd: oneloop.Kvmd,
) -> None:
    told = kvmd.ctrl / "told"
    hook = kvmd.ctrl / "hooks" / "tell"
    hook.parent.mkdir()
    hook.write_text(f'#!/bin/sh\necho "$GANETI_STOP_NAME" >> {told}\n')
    hook.chmod(0o755)
    kvmd.change(hooks_dir=hook.parent)
    parts = kvmd.start()
    names = simulation.names(100)
    with simulation.Simulation(kvmd.ctrl) as simulated:
        simulated.create(names)
        await listening.until(lambda: len(parts.roster) == len(names))
        simulated.power_off()
        await kvmd.stop()
    guests = {name.removesuffix(".kvmd") for name in names}
    assert {(stop.name, stop.cause) for stop in kvmd.recorded()} == {
        (name, "user-poweroff") for name in guests
    }
    assert all(kvmd.has_marker(name) for name in guests)
    assert set(told.read_text().split()) == guests
