"""Where the files of running instances lie: Ganeti's layout below the run directory.

One place for names, so that a file that is made is also found when it has to go. Only
`Places.names` looks at the disk.
"""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from pyganeti.base import paths

SOCKETS: Final = (".monitor", ".serial", ".qmp", ".kvmd", ".qga")
"""What qemu makes in the control directory, by the ending of its name."""

MARKER: Final = ".shutdown"
INTENT: Final = ".intent"
_CONF: Final = ".runtime"


@dataclass(frozen=True)
class Places:
    """The directories and files of instances on one node.

    Without slots, so that each directory's path is put together once.
    """

    paths: paths.Paths

    @functools.cached_property
    def root(self) -> Path:
        """All that is about running instances."""
        return self.paths.run_dir / "kvm-hypervisor"

    @functools.cached_property
    def pids(self) -> Path:
        """A pid file an instance."""
        return self.paths.kvm_pid_dir

    @functools.cached_property
    def control(self) -> Path:
        """Sockets, markers, intents."""
        return self.paths.ctrl_dir

    @functools.cached_property
    def runtimes(self) -> Path:
        """A runtime file an instance."""
        return self.root / "conf"

    @functools.cached_property
    def uids(self) -> Path:
        """Which user of the pool each instance has."""
        return self.root / "uid"

    @functools.cached_property
    def taps(self) -> Path:
        """A directory an instance, and in it a file a NIC with its tap's name."""
        return self.root / "nic"

    @functools.cached_property
    def balloons(self) -> Path:
        """An empty file for each instance whose memory was ever changed while it ran."""
        return self.root / "balloon"

    @functools.cached_property
    def chroots(self) -> Path:
        """An empty directory an instance."""
        return self.root / "chroot"

    @functools.cached_property
    def quarantine(self) -> Path:
        """Chroots that were not empty at the end: somebody should look at them."""
        return self.root / "chroot-quarantine"

    @functools.cached_property
    def logs(self) -> Path:
        """What qemus say while they run."""
        return self.paths.log_dir / "kvm"

    @functools.cached_property
    def reasons(self) -> Path:
        """Why each instance's state was changed last."""
        return self.paths.run_dir / "instance-reason"

    @functools.cached_property
    def disk_links(self) -> Path:
        """Links to the instances' disks, ``NAME:N``."""
        return self.paths.run_dir / "instance-disks"

    @functools.cached_property
    def nvram(self) -> Path:
        """The variables of UEFI firmware, which outlive a run."""
        return self.paths.state_dir / "nvram"

    @functools.cached_property
    def tpms(self) -> Path:
        """The state of TPMs, which outlives a run."""
        return self.paths.state_dir / "tpm"

    @functools.cached_property
    def directories(self) -> tuple[Path, ...]:
        """What has to be there before an instance can run."""
        return (
            self.pids,
            self.control,
            self.runtimes,
            self.uids,
            self.taps,
            self.balloons,
            self.chroots,
            self.quarantine,
            self.reasons,
            self.disk_links,
            self.logs,
        )

    def pid_file(self, name: str) -> Path:
        """Return where qemu writes its pid."""
        return self.pids / name

    def runtime(self, name: str) -> Path:
        """Return where it is written how an instance was started."""
        return self.runtimes / (name + _CONF)

    def socket(self, name: str, suffix: str) -> Path:
        """Return one of `SOCKETS`."""
        return self.control / (name + suffix)

    def marker(self, name: str) -> Path:
        """Return the file that says that the guest shut itself down."""
        return self.control / (name + MARKER)

    def tpm_socket(self, name: str) -> Path:
        """Return where an instance's TPM listens."""
        return self.control / (name + ".swtpm")

    def log(self, name: str) -> Path:
        """Return what qemu writes to while it runs."""
        return self.logs / f"{name}.log"

    def chroot(self, name: str) -> Path:
        """Return the empty directory that an instance's qemu may be shut into."""
        return self.chroots / name

    def uid(self, name: str) -> Path:
        """Return the file with the number of the user that an instance's qemu runs as."""
        return self.uids / name

    def variables(self, name: str) -> Path:
        """Return the file with an instance's UEFI variables."""
        return self.nvram / f"{name}.fd"

    @property
    def names(self) -> list[str]:
        """The instances that have a runtime file. Raises OSError, save for a missing directory."""
        try:
            found = [entry.name for entry in self.runtimes.iterdir()]
        except FileNotFoundError:
            return []
        return sorted(n.removesuffix(_CONF) for n in found if n.endswith(_CONF) and n[0] != ".")
