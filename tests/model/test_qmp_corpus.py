"""Each file of the corpus is survived, in any pieces, and understood as written beside it."""

import json
import zlib
from pathlib import Path

import pytest

from pyganeti.kvmd.watching import session
from pyganeti.qmp import stream

_CORPUS = Path(__file__).parent.parent / "corpus" / "qmp"
_FILES = sorted(path.name for path in _CORPUS.iterdir() if path.suffix in (".bin", ".z"))
_EXPECTED: dict[str, list[list[object]]] = json.loads((_CORPUS / "expected.json").read_bytes())


def _told(happening: session.Happening) -> list[object]:
    match happening:
        case session.Noted(event):
            return ["noted", event.name, event.detail, event.guest, event.at]
        case session.Attached(version):
            return ["attached", version]
        case session.Status(status):
            return ["status", status]
        case session.Garbage():
            return ["garbage"]
        case session.WrongGreeting():
            return ["wrong greeting"]
        case session.NotNegotiated():
            return ["not negotiated"]


def _replay(data: bytes, size: int) -> tuple[list[list[object]], int, int, bytes]:
    one = session.Session()
    told: list[list[object]] = []
    for start in range(0, len(data), size):
        told += map(_told, one.feed(data[start : start + size], 1.0))
        assert one.held <= stream.LONGEST_LINE
    told += map(_told, one.end(1.0))
    assert one.held == 0
    return told, one.ignored, one.garbage, one.take_outgoing()


def _load(name: str) -> bytes:
    data = (_CORPUS / name).read_bytes()
    return zlib.decompress(data) if name.endswith(".z") else data


@pytest.mark.parametrize("name", _FILES)
def test_it_is_survived_and_the_pieces_change_nothing(name: str) -> None:
    data = _load(name)
    whole = _replay(data, len(data) or 1)
    sizes = [4096, 512, 511] if len(data) > 100_000 else [1, 2, 7, 511, 4096]
    for size in sizes:
        assert _replay(data, size) == whole


@pytest.mark.parametrize("name", sorted(_EXPECTED))
def test_it_is_understood(name: str) -> None:
    data = _load(name)
    assert _replay(data, 4096)[0] == _EXPECTED[name]
