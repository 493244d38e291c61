"""``gnt-cluster``: make the cluster, look at it, change it as a whole."""

from typing import Final, NoReturn

from pyganeti.cli import groups, program

_HERE: Final = "pyganeti.cli.cluster"

GROUP: Final = groups.LazyGroup(
    "gnt-cluster",
    {
        "init": (f"{_HERE}.init", "Make this machine the first node of a new cluster."),
        "getmaster": (f"{_HERE}.getmaster", "Print the master node's name."),
        "info": (f"{_HERE}.info", "Tell everything about the cluster."),
        "modify": (f"{_HERE}.modify", "Change settings, and what all instances inherit."),
        "verify": (f"{_HERE}.verify", "Look whether all is as it should be."),
        "redist-conf": (f"{_HERE}.redist_conf", "Send every node the configuration again."),
        "activate-master-ip": (f"{_HERE}.activate_master_ip", "Have the master take its address."),
        "deactivate-master-ip": (f"{_HERE}.deactivate_master_ip", "Have it give it back."),
        "master-ping": (f"{_HERE}.master_ping", "Say by the exit code whether the master answers."),
        "command": (f"{_HERE}.run_command", "Run a command on nodes, over ssh."),
        "copyfile": (f"{_HERE}.copyfile", "Copy a file from here to nodes, over ssh."),
        "renew-crypto": (f"{_HERE}.renew_crypto", "Renew certificates, keys and secrets."),
        "master-failover": (f"{_HERE}.master_failover", "Make this node the master."),
        "convert-store": (f"{_HERE}.convert_store", "Keep the cluster in etcd, or in files again."),
        "destroy": (f"{_HERE}.destroy", "Take the cluster apart, for good."),
        "epo": (f"{_HERE}.epo", "Power nodes off in an emergency, and on again."),
        "rename": (f"{_HERE}.rename", "Give the cluster another name."),
        "verify-disks": (f"{_HERE}.verify_disks", "Look for missing disks; assemble others."),
        "repair-disk-sizes": (f"{_HERE}.repair_disk_sizes", "Correct recorded sizes of disks."),
        "show-ispecs-cmd": (f"{_HERE}.show_ispecs_cmd", "Print how the policy came to be."),
        "queue": (f"{_HERE}.queue", "Let the job queue take no jobs, or take them again."),
        "watcher": (f"{_HERE}.watcher", "Have the watcher rest for a while, or go on."),
        "version": (f"{_HERE}.version", "Print the versions of the cluster's software."),
        "completion": (f"{_HERE}.completion", "Print what shells need to complete our commands."),
        "manual": (f"{_HERE}.manual", "Write the commands' manual pages."),
        "search-tags": (f"{_HERE}.search_tags", "Find what has tags that match."),
        "list-tags": (f"{_HERE}.list_tags", "List tags."),
        "add-tags": (f"{_HERE}.add_tags", "Add tags."),
        "remove-tags": (f"{_HERE}.remove_tags", "Remove tags."),
    },
    doc="Make the cluster, look at it, and change it as a whole.",
    aliases={"show": "info", "masterfailover": "master-failover"},
)


def main() -> NoReturn:
    """Run the command."""
    program.run(GROUP)
