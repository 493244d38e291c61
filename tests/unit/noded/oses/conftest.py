"""An OS definition to change, in a node's root of its own."""

from pathlib import Path

import pytest

from pyganeti.base import paths


@pytest.fixture
def layout(tmp_path: Path) -> paths.Paths:
    return paths.Paths(tmp_path, "node1.example.com")


@pytest.fixture
def folder(layout: paths.Paths) -> Path:
    """Make a whole definition called ``noop``, with two variants and one parameter."""
    made = layout.root / "srv/ganeti/os/noop"
    made.mkdir(parents=True)
    for script in ("create", "import", "export", "rename", "verify"):
        (made / script).write_text("#!/bin/sh\nexit 0\n")
        (made / script).chmod(0o755)
    (made / "ganeti_api_version").write_text("20\n15\n")
    (made / "variants.list").write_text("# the first one is the default\ndefault\n\nsmall\n")
    (made / "parameters.list").write_text("size How large it is\nkey\n\n")
    return made
