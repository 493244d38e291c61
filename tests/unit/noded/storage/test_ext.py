"""Providers' scripts: run with Ganeti's environment, believed only as far as they can be."""

import os
from pathlib import Path

import pytest

from pyganeti.base import errors
from pyganeti.model import disk as disks
from pyganeti.noded.storage import providers

from .conftest import Site

_ACTIONS = ("create", "attach", "detach", "remove", "grow", "setinfo", "verify")


def _disk(provider: str = "san", **params: object) -> disks.Disk:
    return disks.Disk(
        dev_type=disks.Template.EXT,
        logical_id=(provider, "uuid.ext.disk0"),
        size=64,
        name="data",
        uuid="u-1",
        params={"access": "kernelspace", "from_snap": "s1", "provider": provider, **params},
    )


class Provider:
    """A provider whose scripts are real, and write down what they see."""

    def __init__(self, site: Site, name: str = "san") -> None:
        self.path = site.layout.root / "srv/ganeti/extstorage" / name
        self.path.mkdir(parents=True)
        self.log = self.path / "log"
        for action in _ACTIONS:
            self.script(action)
        (self.path / "parameters.list").write_text("from_snap  The snapshot\nip\n\n")

    def script(self, action: str, body: str = "") -> None:
        script = self.path / action
        script.write_text(
            f"#!/bin/sh\necho {action} >> log\nenv | sort > env.{action}\n{body or 'exit 0'}\n"
        )
        script.chmod(0o755)

    def calls(self) -> list[str]:
        return self.log.read_text().split() if self.log.exists() else []

    def environment(self, action: str) -> dict[str, str]:
        lines = (self.path / f"env.{action}").read_text().splitlines()
        return dict(line.split("=", 1) for line in lines)


def _device() -> str:
    found = [path for path in Path("/dev").iterdir() if path.is_block_device()]
    if not found:
        pytest.skip("needs any block device below /dev")
    return str(min(found))


def _number(path: str) -> int:
    return Path(path).stat().st_rdev


@pytest.fixture
def provider(site: Site) -> Provider:
    provider = Provider(site)
    provider.script("attach", f"echo noise >&2; echo {_device()}; echo kvm:iscsi://x/y")
    return provider


async def test_a_volume_is_made_attached_opened_and_named(
    site: Site, provider: Provider, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET", "of the daemon")
    provider.script("open")
    await site.create(_disk())
    assert provider.calls() == ["create", "attach", "open", "setinfo"]
    seen = provider.environment("create")
    for name in ("PATH", "LC_ALL", "PWD", "_", "SHLVL", "OLDPWD"):
        seen.pop(name, None)
    assert seen == {
        "VOL_NAME": "uuid.ext.disk0",
        "VOL_SIZE": "64",
        "VOL_CNAME": "data",
        "VOL_UUID": "u-1",
        "EXTP_ACCESS": "kernelspace",
        "EXTP_FROM_SNAP": "s1",
        "EXTP_PROVIDER": "san",
    }
    assert provider.environment("open")["VOL_OPEN_EXCLUSIVE"] == "True"
    assert provider.environment("setinfo")["VOL_METADATA"] == "words"


async def test_a_volume_is_found_where_its_provider_says(site: Site, provider: Provider) -> None:
    device = await site.storage.find(_disk())
    assert device is not None
    assert device.path == _device()
    assert device.major == os.major(_number(_device()))
    linked = await site.storage.assemble(_disk(access="userspace"), "web1", 0, "kvm", primary=True)
    assert linked is not None
    assert linked.uri == "iscsi://x/y"
    assert linked.link is not None
    assert str(linked.link.readlink()) == _device()


async def test_a_volume_may_be_for_qemu_alone(site: Site, provider: Provider) -> None:
    provider.script("attach", "echo; echo KVM:nbd:unix:/x")
    linked = await site.storage.assemble(_disk(access="userspace"), "web1", 0, "kvm", primary=True)
    assert linked is not None
    assert (linked.device.path, linked.link, linked.uri) == (None, None, "nbd:unix:/x")
    assert await site.storage.dimensions(_disk()) is None
    await site.storage.open("web1", [_disk()], exclusive=False)
    with pytest.raises(errors.Unavailable, match="no URI for xen"):
        await site.storage.assemble(_disk(access="userspace"), "web1", 0, "xen", primary=True)


@pytest.mark.parametrize("said", ["", "/dev/none", "\nnothing"])
async def test_a_provider_that_attaches_nothing_is_not_believed(
    site: Site, provider: Provider, said: str
) -> None:
    provider.script("attach", f"printf '%s\\n' '{said}'")
    assert await site.storage.find(_disk()) is None
    with pytest.raises(errors.Unavailable, match="attached nothing"):
        await site.storage.assemble(_disk(), "web1", 0, "kvm", primary=True)


@pytest.mark.parametrize("said", ["relative", "/etc/passwd"])
async def test_what_is_no_device_is_refused(site: Site, provider: Provider, said: str) -> None:
    provider.script("attach", f"echo {said}")
    with pytest.raises((errors.Damaged, errors.Denied)):
        await site.storage.find(_disk())


async def test_a_failing_script_is_quoted_and_its_log_kept(site: Site, provider: Provider) -> None:
    provider.script("create", "seq 100; echo 'no room on the san' >&2; exit 3")
    with pytest.raises(errors.Failure, match=r"status 3;(.|\n)*no room on the san") as failed:
        await site.create(_disk())
    assert "\n50\n" not in str(failed.value)
    (log,) = (site.layout.log_dir / "extstorage").iterdir()
    assert log.name.startswith("create-san-uuid.ext.disk0-")
    assert "\n50\n" in log.read_text()
    provider.script("attach", "echo 'not found' >&2; exit 1")
    with pytest.raises(errors.Failure, match="not found"):
        await site.storage.find(_disk())


async def test_a_volume_is_detached_and_removed(site: Site, provider: Provider) -> None:
    await site.storage.shutdown(_disk())
    await site.storage.remove(_disk())
    assert provider.calls() == ["detach", "attach", "detach", "remove"]


async def test_a_volume_that_a_failed_create_left_can_be_forgotten(
    site: Site, provider: Provider
) -> None:
    provider.script("attach", "exit 1")
    provider.script("remove", "exit 1")
    await site.storage.remove(_disk())
    assert provider.calls() == ["attach", "remove"]


async def test_a_volume_that_is_busy_is_tried_again_and_then_said(
    site: Site, provider: Provider
) -> None:
    provider.script("remove", "echo busy; exit 1")
    with pytest.raises(errors.Failure, match="busy"):
        await site.storage.remove(_disk())
    assert provider.calls().count("remove") > 1


async def test_a_volume_grows_and_has_snapshots_where_the_provider_can(
    site: Site, provider: Provider
) -> None:
    await site.storage.grow(_disk(), 36, dry_run=True, exclusive=False)
    assert provider.calls() == ["attach"]
    await site.storage.grow(_disk(), 36, dry_run=False, exclusive=False)
    seen = provider.environment("grow")
    assert (seen["VOL_SIZE"], seen["VOL_NEW_SIZE"]) == ("64", "100")
    with pytest.raises(errors.Unavailable, match="no snapshots"):
        await site.storage.snapshot(_disk(), None, None)
    provider.script("snapshot")
    taken = await site.storage.snapshot(_disk(), None, None)
    assert taken == ["san", "uuid.ext.disk0.snap"]
    seen = provider.environment("snapshot")
    assert (seen["VOL_SNAPSHOT_NAME"], seen["VOL_SNAPSHOT_SIZE"]) == (
        "uuid.ext.disk0.snap", "64"
    )  # fmt: skip


async def test_open_and_close_are_optional(site: Site, provider: Provider) -> None:
    await site.storage.close("web1", [_disk()])
    assert provider.calls() == []
    provider.script("close")
    await site.storage.close("web1", [_disk()])
    assert provider.calls() == ["close"]
    provider.script("open")
    await site.storage.open("web1", [_disk()], exclusive=False)
    assert provider.calls() == ["close", "attach", "open"]
    assert provider.environment("open")["VOL_OPEN_EXCLUSIVE"] == "False"


@pytest.mark.parametrize("name", ["../san", "a/b", "..", "", ".hidden", "none"])
async def test_other_providers_are_refused(site: Site, provider: Provider, name: str) -> None:
    with pytest.raises(errors.Failure, match="provider"):
        await site.storage.find(_disk(name))
    assert provider.calls() == []


@pytest.mark.parametrize("name", ["a=b", "a b", "", "a\n"])
async def test_strange_parameters_are_refused(site: Site, provider: Provider, name: str) -> None:
    with pytest.raises(errors.BadInput):
        await site.storage.find(_disk(**{name: "x"}))


def test_providers_are_diagnosed(site: Site, provider: Provider) -> None:
    (Provider(site, "broken").path / "grow").unlink()
    (Provider(site, "asleep").path / "attach").chmod(0o644)
    (Provider(site, "listless").path / "parameters.list").unlink()
    (provider.path.parent / "file").touch()
    found = {name: (ok, why, known) for name, _, ok, why, known in providers.diagnose(
        site.storage.providers
    )}  # fmt: skip
    assert found["san"] == (True, "", [["from_snap", "The snapshot"], ["ip"]])
    wanted = {
        "broken": "no script grow",
        "asleep": "not an executable",
        "listless": "no parameters.list",
        "file": "no script create",
    }
    for name, why in wanted.items():
        assert not found[name][0]
        assert why in found[name][1]
    assert providers.diagnose([site.layout.root / "none"]) == []
