"""A node's root, and programs in it."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pyganeti.base import paths

Write = Callable[[Path, str], Path]


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    return paths.Paths(tmp_path, "node1.example.com")


@pytest.fixture
def write() -> Write:
    """Return what makes an executable shell script, with its folders."""

    def make(path: Path, text: str) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    return make
