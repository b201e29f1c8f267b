"""A file is replaced, and a folder appears, whole or not at all; and JSON is read with care."""

import os
from pathlib import Path

import pytest

from minitvlt.files import check_new, read_json, write_atomically, write_folder, write_json


def test_writes_a_new_file_and_makes_its_folder(tmp_path: Path) -> None:
    target = tmp_path / "runs" / "first" / "note.txt"
    assert write_atomically(target, lambda path: path.write_text("one")) == target
    assert target.read_text() == "one"


def test_replaces_an_old_file_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    target.write_text("old and longer")
    write_atomically(str(target), lambda path: path.write_text("new"))
    assert target.read_text() == "new"
    assert list(tmp_path.iterdir()) == [target]


def test_the_temporary_file_is_in_the_same_folder_and_keeps_the_suffix(tmp_path: Path) -> None:
    seen: list[Path] = []
    write_atomically(tmp_path / "picture.png", seen.append)
    assert seen[0].parent == tmp_path and seen[0].suffix == ".png" and seen[0].name != "picture.png"


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_file_and_removes_the_temporary_one(
    tmp_path: Path, error: BaseException
) -> None:
    target = tmp_path / "note.txt"
    target.write_text("old")

    def fail(path: Path) -> None:
        path.write_text("half")
        raise error

    with pytest.raises(type(error)):
        write_atomically(target, fail)
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_a_reader_sees_the_old_file_while_the_new_one_is_written(tmp_path: Path) -> None:
    target = tmp_path / "note.txt"
    target.write_text("old")
    seen: list[str] = []

    def write(path: Path) -> None:
        path.write_text("new")
        seen.append(target.read_text())

    write_atomically(target, write)
    assert seen == ["old"] and target.read_text() == "new"


def test_the_writer_may_replace_the_temporary_file_itself(tmp_path: Path) -> None:
    def write(path: Path) -> None:
        other = path.with_name("other")
        other.write_text("renamed")
        os.replace(other, path)

    assert write_atomically(tmp_path / "note.txt", write).read_text() == "renamed"


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_permissions_are_those_of_an_ordinary_or_of_the_replaced_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")
    new = write_atomically(tmp_path / "new", lambda path: path.write_text("x"))
    assert new.stat().st_mode == ordinary.stat().st_mode
    new.chmod(0o640)
    write_atomically(new, lambda path: path.write_text("y"))
    assert new.stat().st_mode & 0o777 == 0o640


# ---------------------------------------------------------------------------------------------------- folders


def fill(folder: Path) -> None:
    (folder / "a").write_text("one")
    (folder / "b").write_text("two")


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "empty"])
def test_a_folder_is_filled(is_there: bool, tmp_path: Path) -> None:
    target = tmp_path / "folder"
    if is_there:
        target.mkdir()
    assert write_folder(target, fill) == target
    assert {path.name: path.read_text() for path in target.iterdir()} == {"a": "one", "b": "two"}
    assert list(tmp_path.iterdir()) == [target]


def test_nobody_sees_half_of_a_folder(tmp_path: Path) -> None:
    seen: list[bool] = []

    def write(folder: Path) -> None:
        fill(folder)
        seen.append((tmp_path / "folder").exists())

    write_folder(tmp_path / "folder", write)
    assert seen == [False]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_failure_leaves_no_folder(error: BaseException, tmp_path: Path) -> None:
    def fail(folder: Path) -> None:
        fill(folder)
        raise error

    with pytest.raises(type(error)):
        write_folder(tmp_path / "folder", fail)
    assert list(tmp_path.iterdir()) == []


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match="nothing is overwritten: choose a new or an empty place"):
            write_folder(place, fill)
        with pytest.raises(ValueError, match="holds something"):
            check_new(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


# ------------------------------------------------------------------------------------------------------- JSON


def test_named_values_come_back_in_order(tmp_path: Path) -> None:
    write_json({"b": [1, None], "a": "é"}, tmp_path / "x.json")
    assert list(read_json(tmp_path / "x.json", "settings").items()) == [("a", "é"), ("b", [1, None])]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"3", b"\xff\xfe", b"[" * 100_000],
    ids=["empty", "half", "list", "number", "bytes", "deep"],
)
def test_what_are_no_named_values_is_refused(content: bytes, tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"Expected .*x\.json with the settings as (JSON|named values)"):
        read_json(tmp_path / "x.json", "the settings")
    with pytest.raises(ValueError, match=r"Expected .*no\.json with the settings as JSON"):
        read_json(tmp_path / "no.json", "the settings")
