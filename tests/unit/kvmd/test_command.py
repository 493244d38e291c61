"""What is typed: flags of the daemon, flags of questions, and mistakes with either."""

from pathlib import Path

import pytest
from click import testing

from pyganeti.kvmd import command


def _typed(*arguments: str) -> testing.Result:
    return testing.CliRunner().invoke(command.main, arguments)


@pytest.mark.parametrize(
    "flags", [("--keep-days", "5"), ("-d",), ("-f",), ("--socket-suffix", ".qmp")]
)
def test_a_flag_of_the_daemon_is_refused_before_a_question(flags: tuple[str, ...]) -> None:
    result = _typed(*flags, "list")
    assert result.exit_code == 2
    assert "is for the daemon, not for list" in result.output


def test_the_place_may_stand_on_either_side_of_the_question(tmp_path: Path) -> None:
    journal = str(tmp_path / "none.sqlite")
    before = _typed("--journal", journal, "list")
    behind = _typed("list", "--journal", journal)
    assert before.exit_code == behind.exit_code == 1
    assert before.output == behind.output
    assert journal in before.output


@pytest.mark.parametrize("suffix", ["", "a/b"])
def test_a_suffix_that_no_file_name_has_is_refused(suffix: str) -> None:
    result = _typed("-f", "--socket-suffix", suffix)
    assert result.exit_code == 2
    assert "--socket-suffix" in result.output


@pytest.mark.parametrize("since", ["yesterdayish", "-3h", "2026-13-01"])
def test_a_time_that_is_none_is_refused_in_one_line(since: str, tmp_path: Path) -> None:
    result = _typed("stops", "--since", since, "--journal", str(tmp_path / "none.sqlite"))
    assert result.exit_code == 2
    assert "--since" in result.output


def test_help_names_every_question_and_leaves_nothing_running() -> None:
    result = _typed("--help")
    assert result.exit_code == 0
    assert all(question in result.output for question in ("list", "stops", "why", "follow"))
