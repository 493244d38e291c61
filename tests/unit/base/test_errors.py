from pyganeti.base import errors


def test_a_holder_is_named_as_far_as_it_is_known() -> None:
    known = errors.AlreadyRunning("ganeti-kvmd", 4711, "/run/ctrl")
    assert str(known) == "ganeti-kvmd (pid 4711) has /run/ctrl already"
    assert str(errors.AlreadyRunning("", None, "it")) == "another process has it already"
    assert str(errors.AlreadyRunning("", 5, "it")) == "a process (pid 5) has it already"
    assert known.wire_code == "PidFileLockError"
