"""OS definitions: which are usable, and what is wrong with the others."""

from collections.abc import Callable
from pathlib import Path

import pytest

from pyganeti.base import errors, paths
from pyganeti.noded.oses import definition


def test_a_whole_one_offers_its_variants_and_parameters(layout: paths.Paths, folder: Path) -> None:
    has = definition.load("noop", definition.places(layout))
    assert (has.version, has.variants, has.is_trusted) == (20, ("default", "small"), True)
    assert has.parameters == (("size", "How large it is"), ("key",))
    assert has.script("create") == folder / "create"


def test_a_diagnosis_has_ganetis_eight_columns(layout: paths.Paths, folder: Path) -> None:
    (folder.parent / "empty").mkdir()
    (folder.parent / "file").write_text("")
    (folder.parent / ".hidden").mkdir()
    *told, shipped = definition.diagnose(definition.places(layout))
    assert shipped[:4] == ("image", str(definition.SHIPPED / "image"), True, "")
    assert told == [
        (
            "empty",
            str(folder.parent / "empty"),
            False,
            (
                "Required file 'ganeti_api_version' not found under path"
                f" {folder.parent}/empty: No such file or directory"
            ),
            [],
            [],
            [],
            True,
        ),
        (
            "file",
            str(folder.parent / "file"),
            False,
            "Directory for OS file not found in search path",
            [],
            [],
            [],
            True,
        ),
        (
            "noop",
            str(folder),
            True,
            "",
            ["default", "small"],
            [["size", "How large it is"], ["key"]],
            [20, 15],
            True,
        ),
    ]


def test_no_place_is_no_definition(tmp_path: Path) -> None:
    assert definition.diagnose([tmp_path / "nosuch"]) == []


def _without(name: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).unlink()


def _with(name: str, text: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).write_text(text)

    return change


def _folder_at(name: str) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return change


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (_without("ganeti_api_version"), "'ganeti_api_version' not found"),
        (_with("ganeti_api_version", "twenty"), "can't be converted to integer"),
        (_with("ganeti_api_version", "5\n"), "API version mismatch"),
        (_with("ganeti_api_version", ""), "API version mismatch"),
        (_without("create"), "A create script"),
        (_without("verify"), "'verify' .* is missing"),
        (_without("parameters.list"), "'parameters.list' not found"),
        (lambda folder: (folder / "rename").chmod(0o644), "'rename' .* is not executable"),
        (_folder_at("export"), "'export' .* is not a regular file"),
    ],
)
def test_what_is_wrong_is_said(
    layout: paths.Paths, folder: Path, spoil: Callable[[Path], object], words: str
) -> None:
    spoil(folder)
    with pytest.raises(errors.Damaged, match=words):
        definition.load("noop", definition.places(layout))


@pytest.mark.parametrize("name", ["nosuch", "..", "../os/noop", "", "noop+small"])
def test_another_name_is_not_found(layout: paths.Paths, folder: Path, name: str) -> None:
    with pytest.raises(errors.Unavailable, match="not found in search path"):
        definition.load(name, definition.places(layout))


def test_an_older_one_needs_neither_variants_nor_verify(layout: paths.Paths, folder: Path) -> None:
    (folder / "ganeti_api_version").write_text("10\n")
    for name in ("verify", "parameters.list", "variants.list"):
        (folder / name).unlink()
    has = definition.load("noop", definition.places(layout))
    assert (has.version, has.variants, has.parameters) == (10, (), ())


def test_an_untrusted_create_script_is_not_run_here(layout: paths.Paths, folder: Path) -> None:
    (folder / "create").rename(folder / "create_untrusted")
    has = definition.load("noop", definition.places(layout))
    assert not has.is_trusted
    with pytest.raises(errors.Unavailable, match="has no create script"):
        has.script("create")


def test_a_variant_is_one_of_those_offered(layout: paths.Paths, folder: Path) -> None:
    has = definition.load("noop", definition.places(layout))
    definition.check_choice(has, "small")
    for variant, words in {"": "must include a variant", "big": "does not support variant"}.items():
        with pytest.raises(errors.BadInput, match=words):
            definition.check_choice(has, variant)
    (folder / "variants.list").unlink()
    has = definition.load("noop", definition.places(layout))
    definition.check_choice(has, "")
    with pytest.raises(errors.BadInput, match="does not support variants"):
        definition.check_choice(has, "small")


def test_a_name_has_its_variant_after_a_plus() -> None:
    assert definition.split("image+small+er") == ("image", "small+er")
    assert definition.split("image") == ("image", "")
