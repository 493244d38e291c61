import re

import hypothesis
import pytest
from hypothesis import strategies as st

from pyganeti.base import errors
from pyganeti.model.cause import Cause
from pyganeti.model.recovery import settings
from pyganeti.model.recovery.settings import Action, Level, Limits, Settings

# What Ganeti takes for a tag.
_TAG = re.compile(r"[\w.+*/:@-]{1,128}", re.ASCII)

SETTINGS = st.builds(
    Settings,
    on_stop=st.dictionaries(st.sampled_from(Cause), st.sampled_from(Action)),
    limits=st.none() | st.builds(Limits, st.integers(1, 1000), st.integers(1, 30 * 86400)),
    priority=st.none() | st.integers(-1000, 1000),
    at_once=st.none() | st.integers(1, 1000),
    gave_up=st.none() | st.integers(0, 2**40),
)
ALMOST = st.builds(
    "{}{}".format,
    st.sampled_from(
        [settings.PREFIX, settings.ON_STOP, settings.RESTARTS, settings.PRIORITY,
         settings.AT_ONCE, settings.GAVE_UP, "pyganeti:on-stop:killed:"]
    ),
    st.text() | st.from_regex(r"-?[0-9]{1,30}(/-?[0-9]{0,30})?", fullmatch=True),
)  # fmt: skip


@hypothesis.given(SETTINGS)
def test_what_is_written_is_read_as_it_was(said: Settings) -> None:
    tags = settings.write(said)
    assert settings.read(tags) == said
    assert all(_TAG.fullmatch(tag) for tag in tags)


@hypothesis.given(SETTINGS, st.lists(st.text().filter(lambda tag: not tag.startswith("pyganeti:"))))
def test_other_peoples_tags_change_nothing(said: Settings, others: list[str]) -> None:
    tags = [*others, *settings.write(said)]
    assert settings.read(tags) == said
    for level in Level:
        assert settings.problems(others, level) == []


@hypothesis.given(st.lists(st.text() | ALMOST), st.sampled_from(Level))
def test_no_tag_can_make_reading_fail_and_what_counts_for_nothing_is_named(
    tags: list[str], level: Level
) -> None:
    said = settings.read(tags)
    named = "\n".join(settings.problems(tags, level))
    understood = set(settings.write(said))
    for tag in {tag for tag in tags if tag.startswith("pyganeti:")} - understood:
        if tag.startswith(settings.GAVE_UP) and said.gave_up is not None and tag not in named:
            continue  # an earlier time at which it was given up
        assert tag in named


@pytest.mark.parametrize(
    ("tag", "why"),
    [
        ("pyganeti:on-stop:killed:explode", "'explode' is nothing that can be done"),
        ("pyganeti:on-stop:bored:restart", "'bored' is no cause"),
        ("pyganeti:on-stop:killed", "counts for nothing"),
        ("pyganeti:on-stop:killed:restart:now", "counts for nothing"),
        ("pyganeti:on-stop:Killed:restart", "'Killed' is no cause"),
        ("pyganeti:restarts:0/60", "'0' is not a number of restarts"),
        ("pyganeti:restarts:5", "'' is not a time"),
        ("pyganeti:restarts:5/2592001", "from 1 to 2592000"),
        ("pyganeti:restarts:5/1h", "'1h' is not a time"),
        ("pyganeti:restarts:05/60", "'05' is not a number"),
        ("pyganeti:start-priority:high", "'high' is not a priority"),
        ("pyganeti:start-priority:1001", "from -1000 to 1000"),
        ("pyganeti:start-priority:\u0663", "is not a priority"),
        ("pyganeti:gave-up:yesterday", "'yesterday' is not a moment"),
        ("pyganeti:on-start:killed:leave", "there is no such setting"),
        ("pyganeti:", "there is no such setting"),
    ],
)
def test_a_tag_of_no_sense_counts_for_nothing_and_the_reason_is_told(tag: str, why: str) -> None:
    assert settings.read([tag]) == Settings()
    [told] = settings.problems([tag], Level.INSTANCE)
    assert tag in told
    assert why in told


def test_two_tags_that_contradict_each_other_count_for_nothing_and_are_named() -> None:
    tags = ["pyganeti:on-stop:killed:leave", "pyganeti:on-stop:killed:restart",
            "pyganeti:on-stop:crashed:leave",
            "pyganeti:start-priority:1", "pyganeti:start-priority:2"]  # fmt: skip
    assert settings.read(tags) == Settings(on_stop={Cause.CRASHED: Action.LEAVE})
    first, second = settings.problems(tags, Level.INSTANCE)
    assert "killed:leave, pyganeti:on-stop:killed:restart contradict each other" in first
    assert "start-priority:1, pyganeti:start-priority:2 contradict each other" in second


def test_of_several_times_at_which_it_was_given_up_the_last_one_counts() -> None:
    tags = ["pyganeti:gave-up:1700000000", "pyganeti:gave-up:1800000000"]
    assert settings.read(tags).gave_up == 1800000000
    assert settings.problems(tags, Level.INSTANCE) == []


@pytest.mark.parametrize(
    ("tag", "right", "where"),
    [
        ("pyganeti:on-stop:killed:leave", {Level.INSTANCE, Level.GROUP, Level.CLUSTER},
         "on an instance or on a node group or on the cluster only"),
        ("pyganeti:restarts:5/60", {Level.INSTANCE, Level.GROUP, Level.CLUSTER}, "on an instance"),
        ("pyganeti:start-priority:5", {Level.INSTANCE}, "on an instance only"),
        ("pyganeti:gave-up:5", {Level.INSTANCE}, "on an instance only"),
        ("pyganeti:starts-at-once:5", {Level.NODE, Level.GROUP, Level.CLUSTER},
         "on a node or on a node group or on the cluster only"),
    ],
)  # fmt: skip
def test_a_setting_where_nobody_looks_for_it_is_named(
    tag: str, right: set[Level], where: str
) -> None:
    for level in Level:
        told = settings.problems([tag], level)
        assert bool(told) == (level not in right)
        assert all(where in text for text in told)


@pytest.mark.parametrize(
    "act",
    [
        lambda: settings.restarts_tag(Limits(0, 60)),
        lambda: settings.restarts_tag(Limits(5, 0)),
        lambda: settings.priority_tag(5000),
        lambda: settings.at_once_tag(0),
        lambda: settings.gave_up_tag(-1),
    ],
)
def test_what_is_out_of_bounds_is_not_written(act: object) -> None:
    assert callable(act)
    with pytest.raises(errors.BadInput):
        act()


@hypothesis.given(SETTINGS, SETTINGS)
def test_an_exchange_leaves_what_was_wanted_and_nothing_of_the_same_head(
    before: Settings, after: Settings
) -> None:
    tags = set(settings.write(before)) | {"web", "pyganeti:on-stop:killed:garbage"}
    wanted: dict[str, str | None] = {settings.head(tag): None for tag in settings.write(before)}
    wanted |= {"pyganeti:on-stop:killed:": None}
    wanted |= {settings.head(tag): tag for tag in settings.write(after)}
    gone, added = settings.exchange(tags, wanted)
    assert set(gone) <= tags
    assert not set(added) & tags
    assert (tags - set(gone)) | set(added) == {"web", *settings.write(after)}
