"""The one place that imports aetcd and gRPC: channels to members, and their calls.

gRPC writes to standard error what it cannot do, time and again; we say that ourselves.
"""

import os
from typing import Any, Final

os.environ.setdefault("GRPC_VERBOSITY", "NONE")

import grpc  # it reads its environment now
from aetcd import rpc

from pyganeti.base import errors
from pyganeti.clients.etcd import access

protobuf: Final = rpc
RpcError = rpc.AioRpcError
StatusCode = rpc.StatusCode
EndOfStream = grpc.aio.EOF

_OPTIONS: Final = (
    ("grpc.max_receive_message_length", -1),
    ("grpc.max_send_message_length", -1),
    ("grpc.initial_reconnect_backoff_ms", 100),
    ("grpc.min_reconnect_backoff_ms", 1000),  # how long one attempt may take
    ("grpc.max_reconnect_backoff_ms", 1000),
    # A stream on which nothing comes: etcd allows one question in five seconds.
    ("grpc.keepalive_time_ms", 6000),
    ("grpc.keepalive_timeout_ms", 2000),
    ("grpc.http2.max_pings_without_data", 0),
    ("grpc.enable_http_proxy", 0),
    ("grpc.use_local_subchannel_pool", 1),
)


class Stubs:
    """The calls of one member."""

    def __init__(self, channel: Any) -> None:  # noqa: ANN401 - gRPC has no types
        self.channel: Final = channel
        self.kv: Final = rpc.KVStub(channel)
        self.lease: Final = rpc.LeaseStub(channel)
        self.watch: Final = rpc.WatchStub(channel)
        self.maintenance: Final = rpc.MaintenanceStub(channel)

    async def close(self) -> None:
        """Break off what is under way."""
        await self.channel.close()


def connect(endpoint: access.Endpoint, chosen: access.Access) -> Stubs:
    """Return the calls of a member; nothing is sent yet.

    Blocks for the moment of reading certificates; raises Unavailable if one cannot be read.
    """
    if not endpoint.tls:
        return Stubs(rpc.insecure_channel(endpoint.target, options=_OPTIONS))
    try:
        authority, key, certificate = (
            None if path is None else path.read_bytes()
            for path in (chosen.authority, chosen.key, chosen.certificate)
        )
    except OSError as error:
        raise errors.Unavailable(
            f"{error.filename}, to be shown to etcd: {error.strerror}"
        ) from error
    credentials = grpc.ssl_channel_credentials(authority, key, certificate)
    return Stubs(rpc.secure_channel(endpoint.target, credentials, options=_OPTIONS))
