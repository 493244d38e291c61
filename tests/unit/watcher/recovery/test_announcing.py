import asyncio

from pyganeti.model.cause import Cause
from pyganeti.watcher import events
from pyganeti.watcher.recovery import announcing


def event(number: int) -> events.Event:
    return events.Event(
        kind=events.Kind.STOPPED, instance=f"web{number}", node="n", at=0.0, cause=Cause.KILLED
    )


class Listener:
    def __init__(self) -> None:
        self.heard: list[str] = []
        self.may_go_on = asyncio.Event()
        self.may_go_on.set()

    async def on_event(self, told: events.Event) -> None:
        await self.may_go_on.wait()
        self.heard.append(told.instance)
        if told.instance == "web1":
            raise ValueError("it does not like that one")


async def test_all_are_told_in_order_also_after_a_failure() -> None:
    first, second = Listener(), Listener()
    announcer = announcing.Announcer([first, second])
    announcer.start()
    for number in range(4):
        announcer.tell(event(number))
    await announcer.close(10.0)
    assert first.heard == second.heard == ["web0", "web1", "web2", "web3"]


async def test_one_that_is_slow_holds_up_nobody_and_misses_the_oldest() -> None:
    slow, quick = Listener(), Listener()
    slow.may_go_on.clear()
    announcer = announcing.Announcer([slow, quick], most=2)
    announcer.start()
    for number in range(2, 7):
        announcer.tell(event(number))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    assert quick.heard == ["web2", "web3", "web4", "web5", "web6"]
    slow.may_go_on.set()
    await announcer.close(10.0)
    assert slow.heard == ["web2", "web5", "web6"]


async def test_one_that_never_comes_to_an_end_is_left() -> None:
    stuck = Listener()
    stuck.may_go_on.clear()
    announcer = announcing.Announcer([stuck])
    announcer.start()
    announcer.tell(event(2))
    await announcer.close(0.05)
    assert stuck.heard == []
