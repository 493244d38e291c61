"""Opcodes on exports of instances."""

from typing import Any, Literal

from pyganeti.model.opcodes import base


class BackupExport(base.OnInstance, tag="OP_BACKUP_EXPORT", frozen=True, kw_only=True):
    """Export an instance."""

    compress: str = "none"
    shutdown_timeout: base.Natural = 120
    target_node: str | list[Any]
    target_node_uuid: base.Text | None = None
    shutdown: bool = True
    remove_instance: bool = False
    ignore_remove_failures: bool = False
    mode: Literal["local", "remote"] = "local"
    x509_key_name: list[Any] | None = None
    destination_x509_ca: base.Text | None = None
    zero_free_space: bool = False
    zeroing_timeout_fixed: int | None = None
    zeroing_timeout_per_mib: float | None = None
    long_sleep: bool = False


class BackupPrepare(base.OnInstance, tag="OP_BACKUP_PREPARE", frozen=True, kw_only=True):
    """Make ready for an export."""

    mode: Literal["local", "remote"]


class BackupRemove(base.OnInstance, tag="OP_BACKUP_REMOVE", frozen=True, kw_only=True):
    """Remove an instance"s export."""
