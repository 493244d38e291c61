"""How long a node may take for a call, unless whoever asks knows better.

Ganeti's own figures: what only looks has a minute, what changes a node's state five or fifteen,
what goes over a disk's content an hour, what installs a system a day.
"""

from typing import Final

URGENT: Final = 60.0
FAST: Final = 5 * 60.0
NORMAL: Final = 15 * 60.0
SLOW: Final = 3600.0
FOUR_HOURS: Final = 4 * 3600.0
A_DAY: Final = 24 * 3600.0

_URGENT: Final = """
    all_instances_info bdev_sizes bridges_exist drbd_helper get_watcher_pause instance_info
    instance_last_stops instance_list instance_metadata_modify instance_stops instance_why
    jobqueue_rename jobqueue_set_drain_flag jobqueue_update lv_list master_node_name
    node_ensure_daemon node_info set_watcher_pause version vg_list
"""
_FAST: Final = """
    export_info export_list export_remove extstorage_diagnose file_storage_dir_create
    file_storage_dir_remove file_storage_dir_rename get_file_info impexp_status
    node_activate_master_ip node_change_master_netmask node_deactivate_master_ip
    node_demote_from_mc node_has_ip_address node_ssh_key_add node_ssh_key_remove
    node_start_master_daemons node_stop_master node_volumes os_diagnose os_export os_validate
"""
_SLOW: Final = """
    blockdev_convert blockdev_image blockdev_wipe drbd_wait_sync instance_finalize_migration_src
    instance_get_migration_status instance_migrate instance_run_rename node_crypto_tokens
    restricted_command
"""
_OTHERS: Final = {"instance_os_add": A_DAY, "node_ssh_keys_renew": FOUR_HOURS}
_LIMITS: Final = {
    **dict.fromkeys(_URGENT.split(), URGENT),
    **dict.fromkeys(_FAST.split(), FAST),
    **dict.fromkeys(_SLOW.split(), SLOW),
    **_OTHERS,
}


def of(call: str) -> float:
    """Return how many seconds a call may take."""
    return _LIMITS.get(call, NORMAL)
