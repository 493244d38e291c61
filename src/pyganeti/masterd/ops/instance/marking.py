"""What an instance is wanted to be: marked in the configuration, by one edit each."""

from collections.abc import Callable

import msgspec

from pyganeti.masterd.config import draft
from pyganeti.masterd.ops import context as contexts
from pyganeti.model.config.instance import Instance
from pyganeti.model.recovery import settings


async def up(context: contexts.Context, uuid: str) -> Instance:
    """Mark an instance as wanted to run, its disks in use; return it as it is then."""
    return await _mark(
        context,
        uuid,
        lambda one: msgspec.structs.replace(
            one, admin_state="up", admin_state_source="admin", disks_active=True
        ),
    )


async def down(context: contexts.Context, uuid: str, source: str = "admin") -> Instance:
    """Mark an instance as wanted to be down, by the administrator or the user."""
    return await _mark(
        context,
        uuid,
        lambda one: msgspec.structs.replace(one, admin_state="down", admin_state_source=source),
    )


async def offline(context: contexts.Context, uuid: str) -> Instance:
    """Mark an instance as not to be counted with."""
    return await _mark(
        context,
        uuid,
        lambda one: msgspec.structs.replace(
            one, admin_state="offline", admin_state_source="admin", disks_active=False
        ),
    )


async def disks(context: contexts.Context, uuid: str, *, active: bool) -> Instance:
    """Mark an instance's disks as in use, or not."""
    return await _mark(context, uuid, lambda one: msgspec.structs.replace(one, disks_active=active))


async def forgiven(context: contexts.Context, uuid: str) -> None:
    """Forget that restarting an instance was given up, which a tag of it says; mostly none does."""
    if settings.read(context.snapshot.instances[uuid].tags).gave_up is not None:
        await _mark(
            context,
            uuid,
            lambda one: msgspec.structs.replace(
                one, tags=tuple(tag for tag in one.tags if not tag.startswith(settings.GAVE_UP))
            ),
        )


async def _mark(
    context: contexts.Context, uuid: str, change: Callable[[Instance], Instance]
) -> Instance:
    def edit(changed: draft.Draft) -> Instance:
        return changed.put(change(changed.snapshot.instance(uuid)))

    return await context.change(edit)
