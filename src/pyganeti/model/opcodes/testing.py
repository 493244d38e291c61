"""Opcodes for tests, and for trying the cluster out."""

from typing import Any, ClassVar, Literal

from pyganeti.model.opcodes import base


class TestAllocator(base.Opcode, tag="OP_TEST_ALLOCATOR", frozen=True, kw_only=True):
    """Try an allocator."""

    said: ClassVar[str | None] = "iallocator"
    direction: Literal["in", "out"]
    mode: Literal[
        "allocate",
        "allocate-secondary",
        "change-group",
        "multi-allocate",
        "node-evacuate",
        "relocate",
    ]
    name: base.Text
    nics: list[base.Params] | None = None
    disks: list[Any] | None = None
    hypervisor: base.HypervisorName | None = None
    iallocator: base.Text | None = None
    tags: list[base.Text] = []
    memory: base.Natural | None = None
    vcpus: base.Natural | None = None
    os: base.Text | None = None
    disk_template: base.Template | None = None
    instances: list[base.Text] | None = None
    evac_mode: Literal["all", "primary-only", "secondary-only"] | None = None
    target_groups: list[base.Text] | None = None
    spindle_use: base.Natural = 1
    count: base.Natural = 1
    group_name: base.Text | None = None


class TestDelay(base.Opcode, tag="OP_TEST_DELAY", frozen=True, kw_only=True):
    """Wait."""

    said: ClassVar[str | None] = "duration"
    duration: float
    on_master: bool = True
    on_nodes: list[base.Text] = []
    on_node_uuids: list[base.Text] | None = None
    repeat: base.Natural = 0
    interruptible: bool = False
    no_locks: bool = True


class TestDummy(base.Opcode, tag="OP_TEST_DUMMY", frozen=True, kw_only=True):
    """Log, succeed or fail as told."""

    result: Any = None
    messages: Any = None
    fail: Any = None
    submit_jobs: Any = None


class TestJqueue(base.Opcode, tag="OP_TEST_JQUEUE", frozen=True, kw_only=True):
    """Exercise the job queue."""

    notify_waitlock: bool = False
    notify_exec: bool = False
    log_messages: list[str] = []
    fail: bool = False


class TestOsParams(base.Opcode, tag="OP_TEST_OS_PARAMS", frozen=True, kw_only=True):
    """Say which parameters arrive."""

    osparams_secret: base.Params | None = None
