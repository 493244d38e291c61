"""Every sub-command of every command has help, is described alike, and can be completed."""

import functools
import importlib
import io
import os
import shutil
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from contextlib import redirect_stdout
from pathlib import Path

import click
import pytest
from click import shell_completion

from pyganeti.base import paths
from pyganeti.cli import groups, session
from pyganeti.cli.cluster import completion

ROOT = Path(__file__).parents[3]
PROGRAMS = [name for name in completion.programs() if name.startswith("gnt-")]

NEW = {"amount", "new_name", "seconds", "duration", "age", "pattern"}
"""Arguments that nobody can know yet."""

UNKNOWN = {
    ("gnt-cluster", "add-tags", "words"),
    ("gnt-cluster", "command", "words"),
    ("gnt-cluster", "init", "name"),
    ("gnt-cluster", "rename", "name"),
    ("gnt-debug", "iallocator", "names"),
    ("gnt-group", "add", "name"),
    ("gnt-group", "add-tags", "words"),
    ("gnt-instance", "add", "name"),
    ("gnt-instance", "add-tags", "words"),
    ("gnt-network", "add", "name"),
    ("gnt-network", "add-tags", "words"),
    ("gnt-node", "add", "name"),
    ("gnt-node", "add-tags", "words"),
    ("gnt-node", "modify-storage", "unit"),
    ("gnt-node", "repair-storage", "unit"),
    # Files of the nodes, not of this machine.
    ("gnt-node", "restricted-command", "program"),
    # Only a job tells which there are, and a job is too much for a key.
    ("gnt-os", "info", "names"),
    ("gnt-os", "modify", "name"),
}
"""Others that name what is new, or what cannot be asked for while somebody types."""


@functools.cache
def group_of(program: str) -> groups.LazyGroup:
    module = importlib.import_module(f"pyganeti.cli.{program.replace('-', '_')}")
    found: groups.LazyGroup = module.GROUP
    return found


def table(program: str) -> groups.Table:
    return group_of(program).table


def every() -> Iterator[tuple[str, str]]:
    for program in PROGRAMS:
        for name in table(program):
            yield program, name


EVERY = sorted(every())


def command(program: str, name: str) -> click.Command:
    with click.Context(group_of(program)) as ctx:
        found = group_of(program).get_command(ctx, name)
    assert found is not None
    return found


def printed(program: str, *words: str) -> str:
    stdout = io.StringIO()
    with redirect_stdout(stdout):
        group_of(program).main(
            [*words], prog_name=program, standalone_mode=False, obj=None
        )  # fmt: skip
    return stdout.getvalue()


def test_every_command_is_installed_and_found() -> None:
    scripts = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]

    assert sorted(name for name in scripts if name.startswith("gnt-")) == PROGRAMS


@pytest.mark.parametrize(("program", "name"), EVERY)
def test_a_sub_command_has_help_for_itself_and_each_of_its_options(program: str, name: str) -> None:
    found = command(program, name)

    help_text = (found.help or "").strip()
    assert help_text[:1].isupper()
    assert help_text.splitlines()[0].endswith((".", ":"))
    shown = printed(program, name, "--help")
    assert f"Usage: {program} {name}" in shown
    for param in found.params:
        if isinstance(param, click.Option):
            assert param.help, f"{param.opts} has no help"


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_command_shows_all_its_sub_commands(program: str) -> None:
    shown = printed(program, "--help")

    for name, (_, said) in table(program).items():
        assert f"  {name}" in shown
        assert said[:1].isupper()
        assert said.endswith(".")


@pytest.mark.parametrize(("program", "name"), EVERY)
def test_a_sub_commands_words_can_be_completed(program: str, name: str) -> None:
    for param in command(program, name).params:
        if not isinstance(param, click.Argument) or not param.name or param.name in NEW:
            continue
        if isinstance(param.type, (click.Choice, click.Path, click.File)):
            continue
        is_completed = param._custom_shell_complete is not None  # noqa: SLF001 - click tells nobody
        is_unknown = (program, name, param.name) in UNKNOWN
        assert is_completed != is_unknown, f"{param.name}: complete it, or say here why not"


@pytest.mark.parametrize(("program", "name"), EVERY)
def test_while_somebody_types_nothing_is_said_and_nothing_recorded(
    program: str, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GANETI_ROOTDIR", str(tmp_path))
    layout = paths.Paths(tmp_path, "node1.example.com")
    layout.log_dir.mkdir(parents=True)
    asked = shell_completion.ShellComplete(
        group_of(program), {"obj": session.Session(program, layout)}, program, "_X_COMPLETE"
    )

    flags = {item.value for item in asked.get_completions([name], "--")}
    names = asked.get_completions([name], "")

    assert "--help" in flags
    assert not [item for item in names if item.type == "plain" and not item.value]
    assert not list(layout.log_dir.iterdir())


def completed(program: str, *words: str, incomplete: str = "") -> list[str]:
    asked = shell_completion.ShellComplete(group_of(program), {}, program, "_X_COMPLETE")
    return [item.value for item in asked.get_completions(list(words), incomplete)]


def test_sub_commands_are_completed_and_other_names_where_no_other_fits() -> None:
    assert completed("gnt-instance", incomplete="re") == [
        name for name in table("gnt-instance") if name.startswith("re")
    ]
    assert completed("gnt-instance", incomplete="sho") == ["show"]


def test_help_needs_no_sub_command_and_no_event_loop() -> None:
    for program in PROGRAMS:
        module = program.replace("-", "_")
        lines = [
            f"import sys; from pyganeti.cli import {module} as it",
            f"sys.argv = [{program!r}, '--help']",
            "try: it.main()",
            "except SystemExit as ended: print(ended.code)",
            "print(*sys.modules)",
        ]
        said = subprocess.run(
            [sys.executable, "-c", "\n".join(lines)],
            capture_output=True,
            text=True,
            check=True,
            timeout=60,
        ).stdout.splitlines()
        modules = set(said[-1].split())
        assert said[-2] == "0"
        assert not modules & {"asyncio", "rich", "ssl"}
        assert not modules & {where for where, _ in table(program).values()}


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_a_shell_understands_what_it_is_given_for_every_command(shell: str, tmp_path: Path) -> None:
    script = tmp_path / "completion"
    script.write_text(printed_as(shell, tmp_path))

    for program in completion.programs():
        assert f"_{program.replace('-', '_').upper()}_COMPLETE={shell}_complete" in (
            script.read_text()
        )
    if shutil.which(shell):
        subprocess.run([shell, "-n", str(script)], check=True, timeout=60)


def printed_as(shell: str, root: Path) -> str:
    stdout = io.StringIO()
    current = session.Session("gnt-cluster", paths.Paths(root, "node1.example.com"))
    with redirect_stdout(stdout):
        group_of("gnt-cluster").main(
            ["completion", shell], prog_name="gnt-cluster", standalone_mode=False, obj=current
        )
    return stdout.getvalue()


@pytest.mark.skipif(not shutil.which("bash"), reason="needs bash")
@pytest.mark.parametrize(
    ("words", "completed"),
    [
        ("gnt-instance mod", "modify"),
        ("gnt-instance modify --on-stop user-p", "user-poweroff="),
        ("gnt-instance modify --on-stop = user-p", "user-poweroff="),
        ("gnt-instance modify --on-stop killed =", "restart leave down default"),
        ("gnt-instance modify --on-stop killed = l", "leave"),
        ("gnt-instance modify --on-stop killed = leave,oom", "leave,oom-killed="),
        ("gnt-instance modify --on-stop killed = leave,oom-killed = r", "restart"),
        ("gnt-instance modify --on-stop killed = leave --start-p", "--start-priority"),
    ],
)
def test_bash_completes_a_word_with_it(words: str, completed: str, tmp_path: Path) -> None:
    """The words are those that bash makes of a line: an equals sign is one."""
    script = tmp_path / "completion"
    script.write_text(printed_as("bash", tmp_path))
    asked = (
        f"compopt() {{ :; }}; source {script}; COMP_WORDS=({words});"
        " COMP_CWORD=$((${#COMP_WORDS[@]} - 1));"
        " _gnt_instance_completion gnt-instance; echo ${COMPREPLY[@]}"
    )

    done = subprocess.run(
        ["bash", "-c", asked],
        env={**os.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )

    assert done.stderr == ""
    assert done.stdout.strip() == completed
