"""The documentation says what the daemon's table says."""

import re
from pathlib import Path

from pyganeti.noded import app, calls

_DOCUMENT = Path(__file__).parents[3] / "docs/node-calls.md"


def test_the_list_of_calls_is_true() -> None:
    there, missing = _DOCUMENT.read_text().partition("## There")[2].split("## Not yet")
    table = calls.Table(app.FAMILIES)
    assert re.findall(r"^- (\w+)", there, re.MULTILINE) == sorted(table.names)
    assert re.findall(r"^- (\w+)", missing, re.MULTILINE) == sorted(table.missing)
