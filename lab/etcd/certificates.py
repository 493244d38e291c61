"""Certificates for an etcd that wants to see one: an authority, a server's, a client's."""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import trustme

_MODE: Final = 0o600


@dataclass(frozen=True, slots=True)
class Files:
    """Where they are."""

    authority: Path
    certificate: Path
    key: Path


@functools.cache
def _authority() -> trustme.CA:
    return trustme.CA(organization_name="laboratory")


def write(directory: Path, name: str, addresses: Sequence[str]) -> Files:
    """Make a certificate for these addresses, and write it with its key and the authority's."""
    made = _authority().issue_cert(*addresses, organization_name="laboratory")
    found = Files(
        directory / f"{name}.ca.pem", directory / f"{name}.pem", directory / f"{name}.key"
    )
    found.authority.write_bytes(_authority().cert_pem.bytes())
    found.certificate.write_bytes(b"".join(blob.bytes() for blob in made.cert_chain_pems))
    found.key.write_bytes(made.private_key_pem.bytes())
    found.key.chmod(_MODE)
    return found
