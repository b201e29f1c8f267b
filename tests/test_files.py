"""A file is replaced, and a folder appears, whole or not at all; and JSON is read with care."""

import os
from pathlib import Path

import pytest

from minitvlt.files import check_new, read_json, write_atomically, write_folder, write_json


def fill(folder: Path) -> None:
    (folder / "a").write_text("one")
    (folder / "b").write_text("two")


def test_a_reader_sees_the_old_file_until_the_new_one_is_complete(tmp_path: Path) -> None:
    target, seen = tmp_path / "runs" / "first.txt", []

    def write(path: Path) -> None:
        path.write_text("new")
        (path.parent / "of a library").touch()  # some write temporary files of their own
        seen.append((target.exists() and target.read_text(), path.parent.parent, path.name))

    assert write_atomically(target, write) == target
    target.write_text("old and longer")
    write_atomically(str(target), write)
    assert seen == [(False, target.parent, "first.txt"), ("old and longer", target.parent, "first.txt")]
    assert target.read_text() == "new" and list(target.parent.iterdir()) == [target]


@pytest.mark.parametrize("error", [ValueError("no"), KeyboardInterrupt()])
def test_a_failure_keeps_the_old_file_and_leaves_no_temporary_one(tmp_path: Path, error: BaseException):
    target = tmp_path / "note.txt"
    target.write_text("old")

    def fail(path: Path) -> None:
        fill(path) if path.is_dir() else path.write_text("half")
        raise error

    for write, place in ((write_atomically, target), (write_folder, tmp_path / "folder")):
        with pytest.raises(type(error)):
            write(place, fail)
    assert target.read_text() == "old" and list(tmp_path.iterdir()) == [target]


@pytest.mark.skipif(os.name != "posix", reason="permission bits are POSIX's")
def test_permissions_are_those_of_an_ordinary_or_of_the_replaced_file(tmp_path: Path) -> None:
    ordinary = tmp_path / "ordinary"
    ordinary.write_text("")
    new = write_atomically(tmp_path / "new", lambda path: (path.write_text("x"), path.chmod(0o600)))
    assert new.stat().st_mode == ordinary.stat().st_mode
    new.chmod(0o440)
    write_atomically(new, lambda path: path.write_text("y"))
    assert new.read_text() == "y" and new.stat().st_mode & 0o777 == 0o440


@pytest.mark.parametrize("is_there", [False, True], ids=["new", "empty"])
def test_a_folder_appears_complete(is_there: bool, tmp_path: Path) -> None:
    target, seen = tmp_path / "folder", []
    if is_there:
        target.mkdir()

    def write(folder: Path) -> None:
        fill(folder)
        seen.append(any(target.glob("*")))

    assert write_folder(target, write) == target and seen == [False]
    assert {path.name: path.read_text() for path in target.iterdir()} == {"a": "one", "b": "two"}
    assert list(tmp_path.iterdir()) == [target]


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    for place in (tmp_path, tmp_path / "file"):
        for refuse in (check_new, lambda place: write_folder(place, fill)):
            with pytest.raises(ValueError, match="nothing is overwritten: choose a new path"):
                refuse(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_named_values_come_back_in_order(tmp_path: Path) -> None:
    write_json({"b": [1, None], "a": "é"}, tmp_path / "x.json")
    assert list(read_json(tmp_path / "x.json", "settings").items()) == [("a", "é"), ("b", [1, None])]


@pytest.mark.parametrize(
    "content",
    [b"", b"{", b"[1]", b"3", b"\xff\xfe", b"[" * 100_000, None],
    ids=["empty", "half", "list", "number", "bytes", "deep", "missing"],
)
def test_what_are_no_named_values_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is not None:
        (tmp_path / "x.json").write_bytes(content)
    with pytest.raises(ValueError, match=r"Expected .*x\.json with the settings as (JSON|named values)"):
        read_json(tmp_path / "x.json", "the settings")
