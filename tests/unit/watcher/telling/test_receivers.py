from pathlib import Path

import pytest
import trustme
from click.testing import CliRunner

from lab import happenings, webreceivers
from pyganeti.base import errors
from pyganeti.model.cause import Cause
from pyganeti.watcher import command, events
from pyganeti.watcher.telling import receivers

_PLAIN = '[webhooks.pager]\nurl = "https://pager.example.com/x"\n'


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "etc/ganeti/webhooks.toml"


def test_no_file_is_nobody(path: Path) -> None:
    assert receivers.read(path) == ()


def test_all_settings_are_understood(path: Path, tmp_path: Path) -> None:
    trustme.CA().cert_pem.write_to_path(tmp_path / "ca.pem")
    webreceivers.write(
        path,
        f"""
        [webhooks.pager]
        url = "https://pager.example.com:8443/x?y=z"
        secret = "s"
        events = ["gave-up", "failed"]
        causes = ["crashed"]
        timeout = 2.5
        retries = 3
        keep = "2h"
        ca = "{tmp_path / "ca.pem"}"
        headers = {{ Authorization = "Bearer t" }}
        [webhooks.all]
        url = "http://localhost:1/x"
        """,
    )
    pager, everything = receivers.read(path)
    assert (pager.name, pager.secret, pager.timeout, pager.retries) == ("pager", "s", 2.5, 3)
    assert pager.keep == 7200
    assert pager.headers == (("Authorization", "Bearer t"),)
    assert pager.secured is not None
    assert pager.wants(happenings.an_event(kind=events.Kind.FAILED, cause=Cause.CRASHED))
    assert not pager.wants(happenings.an_event(kind=events.Kind.FAILED, cause=Cause.KILLED))
    assert not pager.wants(happenings.an_event(cause=Cause.CRASHED))
    assert everything.wants(happenings.an_event())
    assert not everything.is_open


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("webhooks = 5", "webhooks"),
        ("[webhooks.a", "table"),
        ("[hooks.a]\nurl = 'https://x'", "hooks"),
        ("[webhooks.a]\nurl = 'https://x'\ntimout = 5", "timout"),
        ("[webhooks.a]\nsecret = 's'", "url"),
        ("[webhooks.a]\nurl = 'ftp://x'", "webhooks.a: url"),
        ("[webhooks.a]\nurl = 'https://'", "webhooks.a: url"),
        ("[webhooks.a]\nurl = 'https://x:99999/'", "webhooks.a: url"),
        ("[webhooks.a]\nurl = 'https://x/ y'", "webhooks.a: url"),
        ("[webhooks.a]\nurl = 'https://x'\nevents = ['crash']", "crash"),
        ("[webhooks.a]\nurl = 'https://x'\ncauses = ['gave-up']", "gave-up"),
        ("[webhooks.a]\nurl = 'https://x'\ntimeout = 0", "timeout"),
        ("[webhooks.a]\nurl = 'https://x'\nretries = -1", "retries"),
        ("[webhooks.a]\nurl = 'https://x'\nkeep = 'long'", "keep"),
        ("[webhooks.a]\nurl = 'https://x'\nca = '/nowhere'", "ca: /nowhere"),
        ("[webhooks.a]\nurl = 'https://x'\nheaders = {'X-Ganeti-Id' = 'x'}", "not yours"),
        ('[webhooks.a]\nurl = "https://x"\nheaders = {A = "b\\nc"}', "headers"),
        ("[webhooks.'a/b']\nurl = 'https://x'", "a name has"),
        ("".join(f"[webhooks.a{n}]\nurl = 'https://x'\n" for n in range(17)), "17 webhooks"),
    ],
)
def test_what_makes_no_sense_is_refused_with_its_place(path: Path, text: str, said: str) -> None:
    webreceivers.write(path, text)
    with pytest.raises(errors.BadInput) as refused:
        receivers.read(path)
    assert str(path) in str(refused.value)
    assert said in str(refused.value)


@pytest.mark.parametrize("secret", ["secret = 's'", "headers = {A = 'b'}"])
def test_secrets_that_others_may_read_are_refused(path: Path, secret: str) -> None:
    webreceivers.write(path, f"{_PLAIN}{secret}\n", 0o640)
    with pytest.raises(errors.BadInput, match="chmod 600"):
        receivers.read(path)
    path.chmod(0o600)
    assert receivers.read(path)


def test_a_password_in_an_address_is_a_secret(path: Path) -> None:
    text = "[webhooks.pager]\nurl = 'https://us:password@pager.example.com/'\n"
    webreceivers.write(path, text, 0o640)
    with pytest.raises(errors.BadInput, match="chmod 600"):
        receivers.read(path)
    path.chmod(0o600)
    [told] = receivers.check(path)
    assert "password" not in told


def test_without_secrets_others_may_read_but_not_write(path: Path) -> None:
    webreceivers.write(path, _PLAIN, 0o644)
    assert receivers.read(path)
    path.chmod(0o664)
    with pytest.raises(errors.BadInput, match="written by others"):
        receivers.read(path)


def test_the_command_says_who_gets_what_and_no_secrets(path: Path, tmp_path: Path) -> None:
    environment = {"GANETI_ROOTDIR": str(tmp_path), "GANETI_HOSTNAME": "node1"}

    def check() -> tuple[int, str]:
        ended = CliRunner().invoke(command.main, ["--check-webhooks"], env=environment)
        return ended.exit_code, ended.output

    assert check() == (0, f"no webhooks: no {path}\n")
    webreceivers.write(
        path,
        '[webhooks.a]\nurl = "http://user:geheim@a.example.com/geheim"\nsecret = "geheim"\n'
        f'events = ["gave-up"]\n{_PLAIN}',
    )
    code, said = check()
    assert code == 0
    assert "geheim" not in said
    assert said == (
        "a: http://a.example.com; gave-up; all causes; signed; NOT ENCRYPTED\n"
        "pager: https://pager.example.com; all events; all causes; not signed\n"
    )
    webreceivers.write(path, "[webhooks.a]\n")
    code, said = check()
    assert code == 1
    assert "url" in said
