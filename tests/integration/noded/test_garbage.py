"""Every call there is, asked with garbage: a plain ``[false, …]``, one line in the log, no change.

The table is the daemon's own, so that a new call is held to it from its first day on. For each
parameter what its type refuses is found among a few kinds of garbage; a parameter that takes
anything is given something, and the one after it decides.
"""

import contextlib
import copy
import hashlib
import json
import os
import random
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from lab import nodedaemons
from pyganeti.noded import app, calls
from pyganeti.wire import noderpc

_GOLDEN = Path(__file__).parents[2] / "golden/rpc"
_GARBAGE: tuple[Any, ...] = (
    5, "x", [], {}, None, -1.5, True, [[[5]]], {"": []}, "\0/../\n", 2**70, {"name": 5},
)  # fmt: skip
_TABLE = calls.Table(app.FAMILIES)
_NAMES = sorted(_TABLE.names)


def _bound(name: str) -> calls.Bound:
    found = _TABLE.find(name)
    assert found is not None
    return found


def _refused(bound: calls.Bound) -> list[list[Any]]:
    """Return argument lists that the call's types refuse."""
    kinds = bound.kinds
    found: list[list[Any]] = [[5] * (len(kinds) + 1), ["x"] * (len(kinds) + 30)]
    if bound.least:
        found.append([])
    for garbage in _GARBAGE:
        arguments = [_wrong(kind, garbage) for kind in kinds]
        if arguments and any(not _fits(kind, a) for kind, a in zip(kinds, arguments, strict=True)):
            found.append(arguments)
    return found


def _wrong(kind: Any, first: Any) -> Any:
    """Return garbage that a type refuses, ``first`` if it does; or ``first`` if none does."""
    return next((g for g in (first, *_GARBAGE) if not _fits(kind, g)), first)


def _fits(kind: Any, value: Any) -> bool:
    try:
        if kind is not Any:
            msgspec.convert(value, kind)
    except (msgspec.ValidationError, OverflowError):
        return False
    return True


def _state(root: Path) -> dict[str, str]:
    """Return what lies below a node's root, but for its log and its locks."""
    found = {}
    for top, _, names in os.walk(root):
        for name in names:
            path = Path(top, name)
            if path.name != "noded.log" and "lock" not in path.name:
                found[str(path)] = hashlib.sha256(path.read_bytes()).hexdigest()
        found[top] = "a directory"
    return found


@pytest.fixture(scope="module")
def asked(tmp_path_factory: pytest.TempPathFactory) -> Any:
    root = tmp_path_factory.mktemp("g")
    with nodedaemons.Noded(root) as noded, contextlib.closing(noded.connect()) as connection:
        state = noded.layout
        (state.state_dir / "queue").mkdir()
        (state.state_dir / "queue/job-1").write_text("{}")
        (state.state_dir / "config.data").write_text("{}")
        yield noded, connection


def _ask(connection: Any, name: str, body: bytes) -> Any:
    connection.request("POST", f"/{name}", body)
    answer = connection.getresponse()
    assert answer.status == 200
    return json.loads(answer.read())


@pytest.mark.parametrize("name", _NAMES)
def test_garbage_changes_nothing(name: str, asked: Any) -> None:
    noded, connection = asked
    before = _state(noded.layout.root)
    begin = len(noded.log)
    bodies = [json.dumps(arguments).encode() for arguments in _refused(_bound(name))]
    bodies += [b"[", b"{}", b'"x"', b"\xff", b'[{"__class__": "x"}' + b"," * 3]
    for body in bodies:
        said = _ask(connection, name, body)
        assert said[0] is False, body
        assert isinstance(said[1], str)
        assert "backend function" not in said[1], said
    lines = noded.log[begin:].splitlines()
    assert len([line for line in lines if f"call={name}" in line]) == len(bodies)
    assert not [line for line in lines if "Traceback" in line or " ERROR " in line]
    assert _state(noded.layout.root) == before


def _recorded() -> list[tuple[str, list[Any]]]:
    return [
        (path.stem, arguments)
        for path in sorted(_GOLDEN.glob("*.json"))
        for arguments in json.loads(path.read_bytes())[:1]
        if arguments
    ]


@pytest.mark.parametrize(("name", "arguments"), _recorded(), ids=lambda value: str(value)[:24])
def test_a_real_masters_words_with_one_of_the_wrong_type_change_nothing(
    name: str, arguments: list[Any], asked: Any
) -> None:
    """Each argument in turn becomes what its type refuses; the others are as a master sends."""
    noded, connection = asked
    before = _state(noded.layout.root)
    bound = _bound(name)
    tried = 0
    for index, kind in enumerate(bound.kinds[: len(arguments)]):
        wrong = _wrong(kind, 5)
        if not _fits(kind, wrong):
            changed = [*arguments[:index], wrong, *arguments[index + 1 :]]
            said = _ask(connection, name, noderpc.encode_arguments(changed))
            assert said[0] is False
            assert name in said[1]
            tried += 1
    assert tried or all(kind is Any for kind in bound.kinds)
    assert _state(noded.layout.root) == before


@pytest.mark.parametrize(("name", "arguments"), _recorded(), ids=lambda value: str(value)[:24])
def test_garbage_anywhere_in_a_real_masters_words_is_foreseen(
    name: str, arguments: list[Any], asked: Any
) -> None:
    """Deep inside an instance, say. What comes of it may be right or wrong, but is no accident."""
    noded, connection = asked
    if name == "write_ssconf_files":
        arguments[0].pop("master_candidates_certs", None)  # or nobody may call any more
    if name == "node_verify":
        arguments[0]["nodelist"] = [[], {}, []]  # nobody is looked for in the world
    chance = random.Random(name)
    places = [place for place in _places(arguments) if place]
    for place in chance.sample(places, min(20, len(places))):
        garbage = chance.choice(_GARBAGE)
        said = _ask(connection, name, json.dumps(_put(arguments, place, garbage)).encode())
        assert said[0] is True or "backend function" not in said[1], (place, garbage, said)
    assert not noded.log_lines("Traceback")


def _places(value: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    yield at
    if isinstance(value, dict | list):
        inside = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in inside:
            yield from _places(one, (*at, key))


def _put(value: Any, place: tuple[Any, ...], garbage: Any) -> Any:
    """Return a copy with garbage in one place."""
    if not place:
        return garbage
    made = copy.copy(value)
    made[place[0]] = _put(value[place[0]], place[1:], garbage)
    return made


def test_garbage_to_all_calls_at_once_leaves_the_daemon_well(asked: Any) -> None:
    noded, _ = asked
    failed: list[object] = []

    def ask(names: list[str]) -> None:
        with contextlib.closing(noded.connect()) as connection:
            for name in names:
                for body in (b"[5]", b'["x", "x", "x", "x", "x", "x", "x", "x", "x"]', b"[[[[["):
                    connection.request("POST", f"/{name}", body)
                    said = connection.getresponse().read()
                    if b"backend function" in said:
                        failed.append((name, said))

    harmless = [name for name in _NAMES if not _fits_one(name)]
    threads = [threading.Thread(target=ask, args=(harmless[n::8],)) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []
    assert noded.call("version") == noderpc.PROTOCOL


def _fits_one(name: str) -> bool:
    """Tell whether a call would take ``[5]``, or anything, for what it is to do."""
    kinds = _bound(name).kinds
    return len(kinds) == 1 and _fits(kinds[0], 5)
