"""``gnt-instance``: make, start, stop, move and change instances, and look at them."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.instance"

GROUP: Final = groups.LazyGroup(
    "gnt-instance",
    {
        "add": (f"{_HERE}.add", "Create an instance."),
        "batch-create": (f"{_HERE}.batch_create", "Create instances that a file describes."),
        "reinstall": (f"{_HERE}.reinstall", "Put operating systems on instances again."),
        "remove": (f"{_HERE}.remove", "Remove an instance and its disks."),
        "list": (f"{_HERE}.list", "List instances and how they are."),
        "info": (f"{_HERE}.info", "Tell everything about instances."),
        "why": (f"{_HERE}.why", "Tell why an instance last stopped."),
        "stops": (f"{_HERE}.stops", "Show which instances stopped, when and why."),
        "console": (f"{_HERE}.console", "Attach to an instance's console."),
        "startup": (f"{_HERE}.startup", "Start instances."),
        "shutdown": (f"{_HERE}.shutdown", "Shut instances down."),
        "reboot": (f"{_HERE}.reboot", "Reboot instances."),
        "migrate": (f"{_HERE}.migrate", "Move a running instance to another node."),
        "failover": (f"{_HERE}.failover", "Stop an instance and start it on another node."),
        "modify": (f"{_HERE}.modify", "Change an instance."),
        "grow-disk": (f"{_HERE}.grow_disk", "Make a disk larger."),
        "activate-disks": (f"{_HERE}.activate_disks", "Make an instance's disks ready."),
        "deactivate-disks": (f"{_HERE}.deactivate_disks", "Let an instance's disks go."),
        "rename": (f"{_HERE}.rename", "Give an instance another name."),
        "list-fields": (f"{_HERE}.list_fields", "List what can be shown of instances."),
        "list-tags": (f"{_HERE}.list_tags", "List tags."),
        "add-tags": (f"{_HERE}.add_tags", "Add tags."),
        "remove-tags": (f"{_HERE}.remove_tags", "Remove tags."),
    },
    doc="Make, start, stop, move and change instances, and look at them.",
    aliases={"start": "startup", "stop": "shutdown", "show": "info"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
