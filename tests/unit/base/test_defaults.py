from pathlib import Path

import pytest

from pyganeti.base import defaults, errors, paths


@pytest.mark.parametrize(
    ("content", "flags"),
    [
        ("", ()),
        ("NODED_ARGS=-d\n", ("-d",)),
        (
            '# yes\nKVMD_ARGS="-f"\nNODED_ARGS="-b 10.0.0.1 -p 1812" # ours\n',
            ("-b", "10.0.0.1", "-p", "1812"),
        ),
        ("export NODED_ARGS='-d'\n", ("-d",)),
        ("NODED_ARGS=-d\nNODED_ARGS=\n", ()),
        ('NODED_ARGS="$OTHER -d"\n', ()),
        ('NODED_ARGS="-d\n', ()),
        ("NODED_ARGS\nXNODED_ARGS=-d\n", ()),
    ],
)
def test_a_daemons_flags_are_read_as_systemd_does(
    content: str, flags: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "etc/default").mkdir(parents=True)
    (tmp_path / "etc/default/ganeti").write_text(content)
    assert defaults.flags(paths.Paths(tmp_path), "ganeti-noded") == flags


def test_without_a_file_there_are_none(tmp_path: Path) -> None:
    assert defaults.flags(paths.Paths(tmp_path), "ganeti-noded") == ()


def test_a_file_that_cannot_be_read_is_said(tmp_path: Path) -> None:
    (tmp_path / "etc/default/ganeti").mkdir(parents=True)
    with pytest.raises(errors.Denied, match="etc/default/ganeti"):
        defaults.flags(paths.Paths(tmp_path), "ganeti-noded")
