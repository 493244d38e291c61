import re

import pytest

from pyganeti.base import errors
from pyganeti.cli import tables

NAME = tables.Column("name", "Instance", "text")
RAM = tables.Column("oper_ram", "Memory", "unit")
TAGS = tables.Column("tags", "Tags", "other")
UP = tables.Column("oper_state", "Running", "bool")


def rows(*values: list[object]) -> list[list[tuple[int, object]]]:
    return [[(0, value) for value in row] for row in values]


def test_columns_line_up_numbers_at_the_right() -> None:
    shown = tables.lines([NAME, RAM], rows(["web1", 128], ["db", 2048]), tables.Style())

    assert shown == ["Instance Memory", "web1       128M", "db         2.0G"]


def test_programs_get_a_separator_and_mebibytes() -> None:
    style = tables.Style(headers=False, separator="|")

    assert tables.lines([NAME, RAM], rows(["web1", 2048]), style) == ["web1|2048"]


@pytest.mark.parametrize(
    ("status", "short", "long"),
    [(1, "??", "(unknown)"), (2, "?", "(nodata)"), (3, "-", "(unavail)"), (4, "*", "(offline)")],
)
def test_what_is_not_known_looks_like_no_value(status: int, short: str, long: str) -> None:
    assert tables.text((status, None), RAM, tables.Style()) == short
    assert tables.text((status, None), RAM, tables.Style(verbose=True)) == long


def test_who_waits_for_a_lock_is_told_apart_from_how() -> None:
    pending = tables.Column("pending", "Pending", "pending")

    waiting = [["exclusive", ["12"]], ["shared", ["14", "15"]]]
    assert tables.text((0, waiting), pending, tables.Style()) == "exclusive:12,shared:14/15"
    assert tables.text((0, []), pending, tables.Style()) == "-"


def test_colours_change_no_width_and_are_there_only_when_asked_for() -> None:
    status = tables.Column("status", "Status", "text")
    said = rows(["web1", "ERROR_down"], ["db", "running"], ["x", "ADMIN_down"])
    plain = tables.lines([NAME, status], said, tables.Style(width=18))

    coloured = tables.lines([NAME, status], said, tables.Style(width=18, colours=True))

    assert not any("\x1b" in line for line in plain)
    assert ["\x1b[31m" in line for line in coloured] == [False, True, False, False]
    assert ["\x1b[32m" in line for line in coloured] == [False, False, True, False]
    stripped = [re.sub("\x1b\\[[0-9]*m", "", line).rstrip() for line in coloured]
    assert stripped == plain


def test_lists_and_truths_are_written_as_ganeti_writes_them() -> None:
    assert tables.text((0, ["a", None, True]), TAGS, tables.Style()) == "a,-,Y"
    assert tables.text((0, False), UP, tables.Style()) == "N"


@pytest.mark.parametrize(
    ("amount", "units", "text"),
    [
        (5, "h", "5M"),
        (1536, "h", "1.5G"),
        (3 * 1024 * 1024, "h", "3.0T"),
        (1536, "m", "1536"),
        (1536, "g", "1.5"),
        (1024 * 1024, "t", "1.0"),
    ],
)
def test_amounts_have_the_unit_asked_for(amount: int, units: str, text: str) -> None:
    assert tables.size(amount, units) == text


def test_units_that_are_none_are_refused() -> None:
    with pytest.raises(errors.BadInput, match="units"):
        tables.size(1, "x")


def test_a_wide_table_is_cut_where_it_is_widest() -> None:
    style = tables.Style(width=24)

    shown = tables.lines([NAME, RAM], rows(["a-very-long-name.example.com", 1]), style)

    assert all(len(line) <= 24 for line in shown)
    assert shown[1] == "a-very-long-name…     1M"


def test_an_empty_table_is_its_headers() -> None:
    assert tables.lines([NAME], [], tables.Style()) == ["Instance"]
    assert tables.lines([NAME], [], tables.Style(headers=False)) == []
