import pytest

from lab import examples
from pyganeti.model import instancestatus
from pyganeti.words import present

_T = 1_700_000_000.0
_STOP = examples.a_stop(1, stopped=_T)
_WORDS = [
    value
    for name, value in vars(instancestatus).items()
    if name.isupper() and not name.startswith("_") and isinstance(value, str)
]


def told(instance: present.Instance | None) -> str:
    return " ".join(present.sentences(instance, _STOP, _T + 100))


@pytest.mark.parametrize("status", _WORDS)
def test_every_status_has_its_words(status: str) -> None:
    said = told(present.Instance("web1", status, "node1"))
    assert said.startswith(("It ", "Whether it runs is not known"))
    assert status == "running" or status in said


def test_what_runs_again_is_told_with_since_when() -> None:
    said = told(present.Instance("web1", "running", "node1", since=_T + 0.5))
    assert said.startswith("It runs again, since 20")
    assert said.endswith("(1min 39s ago), 0.5s after the stop.")
    before = told(present.Instance("web1", "ERROR_wrongnode", "node1", since=_T - 5))
    assert "not on node1, where it should (ERROR_wrongnode), since 20" in before


def test_what_is_gone_or_not_known_or_given_up_is_said() -> None:
    assert told(None) == "There is no instance of that name now."
    assert told(present.Instance("web1", "", "node1")) == (
        "How it is now is not known; its node is node1."
    )
    said = told(present.Instance("web1", "ERROR_down", "node1", gave_up=_T + 40))
    assert "The watcher gave up starting it again at 20" in said
    assert "(1min ago)" in said
    said = told(present.Instance("web1", "running", "node1", off=("one", "the other")))
    assert said == (
        "It runs. Why it stops is recorded from its next start on once one and the other are on."
    )
