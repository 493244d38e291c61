"""Signs what is sent, so that who gets it can tell that it is from this cluster, and new.

``X-Ganeti-Signature: t=SECONDS,v1=HEX``: the HMAC-SHA256, under the secret that both have, of the
seconds since 1970, a full stop, and the body. The time is that of sending: a receiver that refuses
old ones cannot be told the same thing again by somebody who listened.
"""

import hashlib
import hmac
from typing import Final

HEADER: Final = "X-Ganeti-Signature"


def signature(secret: str, at: int, body: bytes) -> str:
    """Return the header's value."""
    signed = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256)
    return f"t={at},v1={signed.hexdigest()}"
