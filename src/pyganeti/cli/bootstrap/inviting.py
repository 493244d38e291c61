"""Handing a machine what it needs to become a node: over ssh, or to the one that shows a token.

Nothing secret stands on a command line, here or there. Whoever is not reached, or refuses, says so
in words for the administrator; then nothing has changed on either side, or the same can be done
again.
"""

import contextlib
import socket
import ssl
import subprocess
from typing import Any, Final

from pyganeti.base import errors, paths, ssconf
from pyganeti.cli import ssh
from pyganeti.cli.bootstrap import founding
from pyganeti.wire import joining, noderpc

_CONNECTING: Final = 10.0
_JOINING: Final = 120.0
"""Seconds that the machine may take to become a node: keys, disk, daemon."""

_SSH_PATIENCE: Final = 300.0
"""Seconds for ssh, whose questions a person has to answer."""

_JOIN: Final = "PATH=$PATH:/usr/local/sbin:/usr/sbin exec ganeti-node-join --stdin"
_NOT_FOUND: Final = 127


def bundle(layout: paths.Paths, info: dict[str, Any], node: str) -> joining.Bundle:
    """Return what a machine gets; ``info`` is what the master says of the cluster.

    Raises Unavailable if this node's own files cannot be read.
    """
    prefix = layout.ssconf("").name
    settings = {}
    for path in sorted(layout.state_dir.glob(f"{prefix}*")):
        name = path.name.removeprefix(prefix)
        settings[name] = ssconf.read(layout, name) or ""
    try:
        server = layout.server_certificate.read_text(encoding="ascii")
    except (OSError, UnicodeError) as error:
        raise errors.Unavailable(
            f"the cluster's key {layout.server_certificate} cannot be read: {error}"
        ) from error
    return joining.Bundle(
        protocol=noderpc.PROTOCOL,
        cluster_name=str(info["name"]),
        node_name=node,
        server_pem=server,
        settings=settings,
        storage=founding.storage_dirs(
            info.get("enabled_disk_templates") or (),
            str(info.get("file_storage_dir") or ""),
            str(info.get("shared_file_storage_dir") or ""),
        ),
    )


def by_token(token: joining.Token, handed: joining.Bundle) -> None:
    """Hand a bundle to the machine that made a token; it is a node when this returns.

    Raises Unavailable if it is not there, Denied if it is another machine or does not take the
    token, Refused with its words if it cannot be a node.
    """
    where = f"{token.address}, port {token.port}"
    again = f"run ganeti-node-join on {handed.node_name} and use the token that it prints"
    try:
        with (
            socket.create_connection((token.address, token.port), _CONNECTING) as bare,
            _context().wrap_socket(bare) as connection,
        ):
            if not joining.is_pinned(token, connection.getpeercert(binary_form=True)):
                raise errors.Denied(
                    f"what answers at {where} did not make this token; it was told nothing; {again}"
                )
            with connection.makefile("rwb") as stream:
                connection.settimeout(_CONNECTING)
                greeting = joining.decode(_receive(stream), joining.Greeting)
                _send(stream, joining.prove(token, greeting))
                _accepted(joining.decode(_receive(stream), joining.Answer), handed.node_name)
                connection.settimeout(_JOINING)
                _send(stream, handed)
                _accepted(joining.decode(_receive(stream), joining.Answer), handed.node_name)
    except ConnectionRefusedError as error:
        raise errors.Unavailable(
            f"nobody waits at {where}: the token was used, or its time is over; {again}"
        ) from error
    except TimeoutError as error:
        raise errors.Unavailable(f"{where} does not answer in time") from error
    except (OSError, EOFError) as error:
        raise errors.Unavailable(f"{where} broke off ({error}); {again}") from error


def by_ssh(node: str, port: int, handed: joining.Bundle, *, can_ask: bool, check: bool) -> None:
    """Hand a bundle over as root, by ssh; the machine is a node when this returns.

    ssh asks what it has to on the terminal, if there is somebody; ``check`` is whether the
    machine's key has to be known. Raises Unavailable if ssh fails, Refused with the machine's
    words if it cannot be a node.
    """
    try:
        done = subprocess.run(
            ssh.line(node, port, _JOIN, can_ask=can_ask, check=check),
            input=joining.encode(handed),
            stdout=subprocess.PIPE,
            timeout=_SSH_PATIENCE,
            check=False,
        )
    except FileNotFoundError as error:
        raise errors.Unavailable(
            "ssh is not installed here; ganeti-node-join on the machine prints a token for"
            " gnt-node add --token"
        ) from error
    except subprocess.TimeoutExpired as error:
        raise errors.Unavailable(f"ssh to {node} has not ended in {_SSH_PATIENCE:.0f} s") from error
    if done.returncode == ssh.FAILED:
        raise errors.Unavailable(
            f"there is no way to {node} by ssh as root; ganeti-node-join there prints a token for"
            " gnt-node add --token"
        )
    if done.returncode == _NOT_FOUND:
        raise errors.Unavailable(f"{node} has no ganeti-node-join: install pyganeti there first")
    said = done.stdout.strip().rpartition(b"\n")[2]
    with contextlib.suppress(errors.Damaged):
        _accepted(joining.decode(said, joining.Answer), node)
        if done.returncode == 0:
            return
    raise errors.Unavailable(f"ganeti-node-join on {node} ended with status {done.returncode}")


def _accepted(answer: joining.Answer, node: str) -> None:
    if answer.error is not None:
        raise errors.Refused(f"{answer.node or node}: {answer.error}")


def _context() -> ssl.SSLContext:
    """Return what takes any certificate: which one it has to be the token says."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _send(stream: Any, message: joining.Proof | joining.Bundle) -> None:  # noqa: ANN401 - a socket's file
    stream.write(joining.framed(message))
    stream.flush()


def _receive(stream: Any) -> bytes:  # noqa: ANN401 - a socket's file
    length = joining.length(_exactly(stream, joining.LENGTH.size), joining.SMALL)
    return _exactly(stream, length)


def _exactly(stream: Any, count: int) -> bytes:  # noqa: ANN401 - a socket's file
    found: bytes = stream.read(count)
    if len(found) != count:
        raise EOFError("the connection was closed")
    return found
