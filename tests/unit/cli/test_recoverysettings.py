"""What is typed about falling instances becomes tags, and nothing else does."""

from typing import Any

import click
import pytest
from click import testing

from pyganeti.base import errors
from pyganeti.cli import recoverysettings
from pyganeti.model.cause import Cause
from pyganeti.model.recovery import policy
from pyganeti.model.recovery.settings import Action, Limits


def test_rules_are_lists_of_causes_with_what_is_done() -> None:
    assert recoverysettings.rules("killed=leave,user-poweroff=restart,crashed=default") == {
        Cause.KILLED: Action.LEAVE,
        Cause.USER_POWEROFF: Action.RESTART,
        Cause.CRASHED: None,
    }


def test_all_are_those_about_which_something_is_done() -> None:
    found = recoverysettings.rules("all=leave,killed=restart")
    assert {cause for cause, action in policy.BUILT_IN.items() if action is not Action.LEAVE} == {
        *found
    }
    assert found.pop(Cause.KILLED) is Action.RESTART
    assert set(found.values()) == {Action.LEAVE}
    assert recoverysettings.rules("all=default") == dict.fromkeys(Cause)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("killed", "killed=restart|leave|down|default"),
        ("killed=", "'' is nothing that can be done"),
        ("killed=explode", "there are restart, leave, down"),
        ("bored=leave", "there are user-poweroff, user-hibernate"),
        ("killed=leave,killed=down", "twice"),
    ],
)
def test_wrong_rules_are_refused_with_what_there_is(text: str, why: str) -> None:
    with pytest.raises(errors.BadInput) as caught:
        recoverysettings.rules(text)
    assert why in str(caught.value)


def test_limits_have_a_time_as_people_type_it() -> None:
    assert recoverysettings.limits("5/1h") == Limits(5, 3600)
    assert recoverysettings.limits("3/90") == Limits(3, 90)
    for text in ("5", "5/", "0/1h", "5/31d", "/1h", "five/1h"):
        with pytest.raises(errors.BadInput):
            recoverysettings.limits(text)


@click.command()
@recoverysettings.of_instance
@click.pass_context
def everything(ctx: click.Context, /, **given: Any) -> None:
    ctx.obj.append(recoverysettings.taken(given))
    assert given == {}


def typed(*words: str) -> tuple[recoverysettings.Wanted, str]:
    found: list[recoverysettings.Wanted] = []
    ended = testing.CliRunner().invoke(everything, words, obj=found)
    return (found[0] if found else recoverysettings.Wanted()), ended.output


def test_options_become_tags_by_what_they_are_about() -> None:
    wanted, _ = typed(
        "--on-stop", "killed=leave", "--on-stop", "killed=down,crashed=default", "--restarts",
        "3/1h", "--start-priority", "-7", "--forgive",
    )  # fmt: skip
    assert wanted.tags == {
        "pyganeti:on-stop:killed:": "pyganeti:on-stop:killed:down",
        "pyganeti:on-stop:crashed:": None,
        "pyganeti:restarts:": "pyganeti:restarts:3/3600",
        "pyganeti:start-priority:": "pyganeti:start-priority:-7",
        "pyganeti:gave-up:": None,
    }
    assert wanted.changes == [
        ("on-stop/killed", "down"),
        ("on-stop/crashed", "default"),
        ("restarts", "3/3600"),
        ("start-priority", "-7"),
        ("gave-up", "no"),
    ]
    assert recoverysettings.new_tags(wanted) == [
        "pyganeti:on-stop:killed:down", "pyganeti:restarts:3/3600", "pyganeti:start-priority:-7",
    ]  # fmt: skip


def test_the_word_default_takes_a_setting_away() -> None:
    wanted, _ = typed("--restarts", "default", "--start-priority", "default")
    assert wanted.tags == {"pyganeti:restarts:": None, "pyganeti:start-priority:": None}


def test_nothing_said_is_nothing_wanted() -> None:
    wanted, _ = typed()
    assert not wanted


@pytest.mark.parametrize(
    ("words", "why"),
    [
        (("--on-stop", "killed=explode"), "there are restart, leave, down"),
        (("--restarts", "5"), "such as 5/1h"),
        (("--start-priority", "1001"), "from -1000 to 1000"),
    ],
)
def test_what_makes_no_sense_is_refused_at_once(words: tuple[str, ...], why: str) -> None:
    _, output = typed(*words)
    assert why in output


def completed(incomplete: str) -> list[str]:
    with click.Context(everything) as ctx:
        [param] = [one for one in everything.params if one.name == "on_stop"]
        return [item.value for item in param.shell_complete(ctx, incomplete)]


def test_causes_and_what_is_done_about_them_are_completed() -> None:
    assert completed("") == [*(f"{cause}=" for cause in Cause), "all="]
    assert completed("user-") == ["user-poweroff=", "user-hibernate="]
    assert completed("killed=") == [
        "killed=restart", "killed=leave", "killed=down", "killed=default",
    ]  # fmt: skip
    assert completed("killed=leave,oom") == ["killed=leave,oom-killed="]
    assert completed("killed=leave,all=d") == ["killed=leave,all=down", "killed=leave,all=default"]
