"""What the parameters of an instance ask for, checked. Decides only, but for files that it names.

A longer text can be given as it is, as ``base64:…`` (an export's configuration keeps that, where it
loses the indentation of lines), or as the path of a file on the node.
"""

import base64
import binascii
import ipaddress
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

FORMATS: Final = ("auto", "raw", "qcow2")
SEEDS: Final = ("auto", "partition", "disk", "none")
NETWORKS: Final = ("auto", "dhcp", "none")
UNCHECKED: Final = "unchecked"

_TEXT_LIMIT: Final = 1024 * 1024
_BASE64: Final = "base64:"
_SUM: Final = re.compile(r"[0-9a-fA-F]{64}")
_HOST: Final = re.compile(r"(?=.{1,253}$)[A-Za-z0-9]([A-Za-z0-9-]{0,62})(\.[A-Za-z0-9-]{1,63})*")
_DOMAIN: Final = re.compile(r"[A-Za-z0-9.-]{1,253}")
_KEY: Final = re.compile(r"(^|\s)(ssh-|ecdsa-|sk-)[a-z0-9@.-]+ +[A-Za-z0-9+/]+={0,3}(\s|$)")
_USER_DATA: Final = ("#!", "#cloud-", "#include", "#part-handler", "## template:", "#upstart-job")
_MIME: Final = re.compile(r"(content-type|mime-version|from)\b", re.IGNORECASE)
_NETWORK: Final = re.compile(r"(?m)^\s*[\"{']*(version|network)[\"']?\s*:")


class Wrong(Exception):
    """The parameters, or what they name, are not right; the message says what."""


@dataclass(frozen=True)
class Wanted:
    """What is asked for. Texts are what was given: `text` has their content."""

    image: str
    sha256: str
    format: str
    seed: str
    hostname: str
    ssh_keys: str
    user_data: str
    network: str
    dns: tuple[str, ...]
    search: tuple[str, ...]

    @property
    def needs_seed(self) -> bool:
        """Whether something was asked for that only a seed can tell the guest."""
        told = (self.hostname, self.ssh_keys, self.user_data, self.dns, self.search)
        return any(told) or self.network not in ("auto", "none")


def parse(environ: Mapping[str, str]) -> Wanted:
    """Return what a script's environment asks for; raises Wrong.

    Everything may be missing: defaults for a whole cluster name no image.
    """

    def written(name: str, default: str = "") -> str:
        found = environ.get(f"OSP_{name.upper()}", "")
        return found if found.strip() else default

    def given(name: str, default: str = "") -> str:
        return written(name, default).strip()

    wanted = Wanted(
        image=given("image"),
        sha256=given("sha256"),
        format=given("format", "auto"),
        seed=given("seed", "auto"),
        hostname=given("hostname"),
        ssh_keys=written("ssh_keys"),
        user_data=written("user_data"),
        network=written("network", "auto"),
        dns=_words(given("dns")),
        search=_words(given("search")),
    )
    _check(wanted)
    return wanted


def text(given: str, name: str) -> str:
    """Return the content of a text: as it is, unpacked, or of the file that it names."""
    if given.startswith("/"):
        try:
            with Path(given).open(encoding="utf-8") as file:
                content = file.read(_TEXT_LIMIT + 1)
        except (OSError, ValueError) as error:
            raise Wrong(f"{name}: {given} cannot be read: {error}") from error
    elif given.startswith(_BASE64):
        try:
            content = base64.b64decode(given[len(_BASE64) :], validate=True).decode()
        except (binascii.Error, ValueError) as error:
            raise Wrong(f"{name}: what follows base64: is not that: {error}") from error
    else:
        content = given
    if len(content) > _TEXT_LIMIT:
        raise Wrong(f"{name} has more than {_TEXT_LIMIT} characters")
    return content


def keys(content: str) -> list[str]:
    """Return the keys in a text; raises Wrong for a line that is none."""
    lines = [line.strip() for line in content.splitlines()]
    found = [line for line in lines if line and not line.startswith("#")]
    for line in found:
        if not _KEY.search(line):
            raise Wrong(f"ssh_keys: {line[:40]!r} is not a public key")
    return found


def user_data(content: str) -> str:
    """Return user data; raises Wrong if cloud-init would not know what it is."""
    if content and not content.startswith(_USER_DATA) and not _MIME.match(content):
        raise Wrong(
            "user_data begins with nothing that cloud-init knows: #cloud-config, #!, #include or a"
            " MIME header"
        )
    return content


def network(content: str) -> str:
    """Return a network configuration; raises Wrong if it is clearly none."""
    if not _NETWORK.search(content):
        raise Wrong(f"network is one of {', '.join(NETWORKS)}, or network-config with a version")
    return content


def _check(wanted: Wanted) -> None:
    if wanted.image and (
        not wanted.image.startswith("/") or os.path.normpath(wanted.image) != wanted.image
    ):
        raise Wrong(f"image: {wanted.image!r} is not an absolute path")
    if wanted.sha256 and wanted.sha256 != UNCHECKED and not _SUM.fullmatch(wanted.sha256):
        raise Wrong(f"sha256 is 64 hexadecimal digits, or {UNCHECKED}; not {wanted.sha256!r}")
    for name, value, known in (("format", wanted.format, FORMATS), ("seed", wanted.seed, SEEDS)):
        if value not in known:
            raise Wrong(f"{name} is one of {', '.join(known)}; not {value!r}")
    if wanted.hostname and not _HOST.fullmatch(wanted.hostname):
        raise Wrong(f"hostname: {wanted.hostname!r} is not a host's name")
    for address in wanted.dns:
        try:
            ipaddress.ip_address(address)
        except ValueError:
            raise Wrong(f"dns: {address!r} is not an address") from None
    for domain in wanted.search:
        if not _DOMAIN.fullmatch(domain):
            raise Wrong(f"search: {domain!r} is not a domain")
    if wanted.seed == "none" and wanted.needs_seed:
        raise Wrong("seed is none, but there are parameters that only a seed can tell the guest")
    # What is in a file is looked at when it is used: it need not be on every node.
    for name, value, check in (
        ("ssh_keys", wanted.ssh_keys, keys),
        ("user_data", wanted.user_data, user_data),
        ("network", "" if wanted.network in NETWORKS else wanted.network, network),
    ):
        if value and not value.startswith("/"):
            check(text(value, name))


def _words(given: str) -> tuple[str, ...]:
    return tuple(word for word in re.split(r"[\s;,]+", given) if word)
