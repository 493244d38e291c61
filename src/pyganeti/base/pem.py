"""Files with a key and certificates, as text: taken apart and put together, nothing understood."""

import re
from typing import Final

from pyganeti.base import errors

_CERTIFICATE: Final = re.compile(
    r"-----BEGIN CERTIFICATE-----\n.*?-----END CERTIFICATE-----\n?", re.DOTALL
)
_KEY: Final = re.compile(r"-----BEGIN ([A-Z ]*PRIVATE KEY)-----\n.*?-----END \1-----\n?", re.DOTALL)


def certificates(text: str) -> list[str]:
    """Return the certificates in a file, each as it stands there."""
    return [_ended(found.group()) for found in _CERTIFICATE.finditer(text.replace("\r\n", "\n"))]


def key(text: str) -> str:
    """Return the first key in a file; raises BadInput if there is none."""
    found = _KEY.search(text.replace("\r\n", "\n"))
    if found is None:
        raise errors.BadInput("there is no key in it")
    return _ended(found.group())


def _ended(block: str) -> str:
    return block if block.endswith("\n") else f"{block}\n"
