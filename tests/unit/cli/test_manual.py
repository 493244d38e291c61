"""The manual pages say what the commands' own help says, in a form that man(1) takes."""

import importlib
import io
import re
import shutil
import subprocess
from contextlib import redirect_stdout
from pathlib import Path

import click
import pytest

from pyganeti.base import paths
from pyganeti.cli import groups, manual, session
from pyganeti.cli.cluster import completion

PROGRAMS = [name for name in completion.programs() if name.startswith("gnt-")]


def group_of(program: str) -> groups.LazyGroup:
    module = importlib.import_module(f"pyganeti.cli.{program.replace('-', '_')}")
    found: groups.LazyGroup = module.GROUP
    return found


def read(page: str) -> str:
    """Return a page's words without troff's marks."""
    plain = re.sub(r"\\f[BIR]", "", page).replace("\\&", "").replace("\\(dq", '"')
    return plain.replace("\\-", "-").replace("\\e", "\\")


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_page_has_every_sub_command_with_every_option_and_its_help(program: str) -> None:
    group = group_of(program)
    page = read(manual.page(group, PROGRAMS, "1.2.3"))
    jobs = page.partition(".SH JOBS")[2]
    with click.Context(group, info_name=program) as ctx:
        for name in group.list_commands(ctx):
            command = group.get_command(ctx, name)
            assert command is not None
            [section] = re.findall(
                rf'^\.SS "{name}\b(?!-)(.*?)(?=^\.S[SH] )', page, re.DOTALL | re.MULTILINE
            )
            for param in command.params:
                if isinstance(param, click.Option):
                    where = section if param.opts[0] in section else jobs
                    assert all(word in where for word in [*param.opts, *param.secondary_opts])
                    assert (param.help or "") in where
            assert " ".join((command.help or "").split()[:6]) in " ".join(section.split())


def test_an_example_keeps_its_lines() -> None:
    page = manual.page(group_of("gnt-instance"), PROGRAMS, "1")

    assert "\n.RS\n.nf\ngnt\\-instance add " in page
    assert "sha256=… \\e\n    \\-\\-disk 0:size=10g " in page


def test_what_begins_like_a_request_is_text() -> None:
    page = manual.page(groups.LazyGroup("gnt-it", {}, doc="'it' is \"it\".\\"), ["gnt-it"], "1")

    assert "gnt\\-it \\- \\&'it' is \\(dqit\\(dq.\\e" in page


def test_only_those_that_submit_jobs_tell_of_them() -> None:
    told = {name for name in PROGRAMS if ".SH JOBS" in manual.page(group_of(name), PROGRAMS, "1")}
    assert {"gnt-instance", "gnt-os"} <= told
    assert "gnt-job" not in told


def test_all_pages_are_written(tmp_path: Path) -> None:
    stdout = io.StringIO()
    current = session.Session("gnt-cluster", paths.Paths(tmp_path, "node1.example.com"))
    with redirect_stdout(stdout):
        group_of("gnt-cluster").main(
            ["manual", str(tmp_path / "man8")],
            prog_name="gnt-cluster",
            standalone_mode=False,
            obj=current,
        )

    assert stdout.getvalue().split() == [str(tmp_path / f"man8/{name}.8") for name in PROGRAMS]
    assert sorted(path.stem for path in (tmp_path / "man8").iterdir()) == PROGRAMS


@pytest.mark.skipif(not shutil.which("groff"), reason="needs groff")
def test_troff_finds_nothing_wrong_with_them(tmp_path: Path) -> None:
    for program in PROGRAMS:
        page = tmp_path / f"{program}.8"
        page.write_text(manual.page(group_of(program), PROGRAMS, "1.2.3"))
        done = subprocess.run(
            ["groff", "-Kutf8", "-Tutf8", "-man", "-ww", str(page)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        )
        assert done.stderr == ""
        assert program in done.stdout
