"""Label files: every kind of label in both formats, and one sentence that says where a file is wrong."""

import json
import random
import re
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import minitvlt as mt
from minitvlt.model.tasks import check_labels
from minitvlt.worlds.labels import MediaClip, read_rows


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    """A folder to work in, with files that rows can name."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.png", "f.wav", "ć d.mp4"):
        Path(name).write_text(name, encoding="utf-8")


def write(text: str | list[dict], suffix: str = "csv") -> str:
    content = text if isinstance(text, str) else "\n".join(json.dumps(row) for row in text)
    name = f"labels.{suffix if isinstance(text, str) else 'jsonl'}"
    Path(name).write_text(content, encoding="utf-8")
    return name


def name_files(labels: list[Any], column: str = "label") -> list[dict]:
    return [{"file": f"{name}.mp4", column: label} for name, label in zip("abcd", labels, strict=False)]


def read(path: str, task: str, split: str) -> tuple[list[MediaClip], Any, tuple[str, ...]]:
    table = mt.read_labels(path, task)
    return *table.select(split), table.names


# ---- what is read

TABLES = {  # task, CSV, JSON, names, labels
    "words": ("classification", "dog\n cat \ndog", ["dog", " cat", "dog"], ("cat", "dog"), [1, 0, 1]),
    "integers": ("classification", "10\n9\n-2", [10, 9, -2], ("-2", "9", "10"), [2, 1, 0]),
    "numbers": ("regression", "-1.5\n2e3", [-1.5, 2000], (), [-1.5, 2000.0]),
    "names": ("labels", "warm|large\n\nlarge", [["warm", "large"], [], ["large"]], ("large", "warm"),
              [[True, True], [False, False], [True, False]]),
    "0 and 1": ("labels", "1|0|1\n0|0|0", [[1, 0, 1], [False] * 3], ("label 1", "label 2", "label 3"),
                [[True, False, True], [False, False, False]]),
    "answers": ("soft-labels", "red:1|10:30:0.5\nblue:0.25", [{"red": 1, "10:30": 0.5}, {"blue": 0.25}],
                ("10:30", "blue", "red"), [[0.5, 0, 1], [0, 0.25, 0]]),
    "nothing": ("ranking", "\n", [None, None], (), None),
}  # fmt: skip


@pytest.mark.parametrize(("task", "cells", "values", "names", "expected"), TABLES.values(), ids=TABLES)
def test_labels_of_every_kind_are_read_from_both_formats(task, cells, values, names, expected):
    lines = [f"{name}.mp4,{cell}" for name, cell in zip("abc", cells.split("\n"), strict=False)]
    for path in (write("file,label\n" + "\n".join([*lines, "d.mp4," + cells.split("\n")[0]])),
                 write(name_files([*values, values[0]][: len(values)] + [values[0]]))):  # fmt: skip
        clips, labels, found = read(path, task, "train")
        assert found == names
        if expected is None:
            assert labels is None
            continue
        check_labels(task, labels, len(clips), max(1, len(names)))
        numbers = ["abcd".index(clip.file.stem) for clip in clips]  # one row in five is held out
        assert labels.tolist() == [[*expected, expected[0]][number] for number in numbers]


def test_files_spans_splits_and_what_spreadsheets_leave():
    Path("deep").mkdir()
    text = (
        '\ufefffile , start,stop,label,split,,\n\n"../a.mp4",1.5,2,3,test,,\n../ć d.mp4,,,4,train\n,,,,,,\n'
        f"{Path('b.mp4').resolve()},,,5,train,,\n"
    )
    Path("deep/labels.csv").write_text(text, encoding="utf-8")
    (a,), (label,), _ = read("deep/labels.csv", "regression", "test")
    (c, b), labels, _ = read("deep/labels.csv", "regression", "train")
    paths = Path("deep/../a.mp4"), Path("deep/../ć d.mp4"), Path("b.mp4").resolve()
    assert (a.file, c.file, b.file) == paths
    assert (a.start, a.stop, c.start, c.stop) == (1.5, 2.0, 0.0, None)
    assert c.name == "deep/labels.csv, line 4"
    assert label == 3.0 and labels.tolist() == [4.0, 5.0]


PLAIN = "file,start,label\na.mp4,,sun\nb.mp4,2,red car\nć d.mp4,0.5,sun\n"
SPREADSHEETS = {
    "UTF-8 with a mark": PLAIN.encode("utf-8-sig"),
    "Unicode text": PLAIN.replace(",", "\t").replace("\n", "\r\n").encode("utf-16"),
    "UTF-16 without a mark": PLAIN.encode("utf-16-be"),
    "semicolons": PLAIN.replace(",", ";").replace("\n", "\r\n").encode(),
    "a line that says so": b"sep=;\r\n" + PLAIN.replace(",", ";").replace("\n", "\r\n").encode(),
    "a line that says so, and old line ends": ("sep=,\n" + PLAIN).replace("\n", "\r").encode(),
    "empty columns and rows": ("\n,,,\n" + PLAIN.replace("\n", ",,\n") + ",,,,\n ,\xa0,\n").encode(),
    "quoted cells": '"file", "start","label"\n"a.mp4",, "sun"\n"b.mp4",2,"red car"\nć d.mp4,0.5,sun'.encode(),
    "no cells for the last columns": b"file,label,start\na.mp4,sun\nb.mp4,red car,2\n\xc4\x87 d.mp4,sun,0.5",
    "hard spaces": PLAIN.replace("red car", "\xa0red\xa0 car").replace("start", "start\xa0").encode(),
}


@pytest.mark.parametrize("content", SPREADSHEETS.values(), ids=SPREADSHEETS)
def test_every_program_saves_the_same_table_in_its_own_way(content):
    Path("labels.csv").write_bytes(content)
    rows = [(clip.file.name, clip.start) for clip in read("labels.csv", "ranking", "train")[0]]
    rows += [(clip.file.name, clip.start) for clip in read("labels.csv", "ranking", "test")[0]]
    assert sorted(rows) == [("a.mp4", 0.0), ("b.mp4", 2.0), ("ć d.mp4", 0.5)]
    train, test = (read("labels.csv", "classification", split) for split in ("train", "test"))
    assert train[2] == ("red car", "sun") and sorted([*train[1], *test[1]]) == [0, 1, 1]


def test_line_ends_of_json_files_and_what_programs_make_of_integers():
    rows = [{"file": "a.mp4", "label": 1.0}, {"file": "b.mp4", "label": "2"}, {"file": "c.mp4", "label": 1}]
    for ends in ("\n", "\r\n", "\r", "\n\n"):
        Path("labels.jsonl").write_bytes(ends.join(map(json.dumps, rows)).encode("utf-16"))
        assert read("labels.jsonl", "classification", "train")[2] == ("1", "2")
    path = write("file,label,split\na.mp4,1.0,train\nb.mp4,2.0,train\nc.mp4,2,train\nd.mp4,1,test\n")
    _, labels, names = read(path, "classification", "train")
    assert names == ("1", "2") and labels.tolist() == [0, 1, 1]


def test_paths_from_windows_are_found_and_names_with_a_backslash_too():
    Path("in").mkdir()
    for name in ("in/x.mp4", "in\\y.mp4"):
        Path(name).write_text(name)
    path = write("file,label,split\nin\\x.mp4,1,train\nin\\y.mp4,2,train\na.mp4,3,test\n")
    clips, *_ = read(path, "regression", "train")
    assert [clip.file for clip in clips] == [Path("in/x.mp4"), Path("in\\y.mp4")]


# ---- repeated clips: 1.mp4 is a copy of a.mp4, 2.mp4 a link to it

REPEATS = {  # rows of file, start, stop, label, split: what is said of which files
    "one file in both": ("a,,,1,train a,,,1,test", "In train and in test rows", "a.mp4", "a.mp4"),
    "a copy": ("a,,,1,train b,,,2,train 1,,,1,test", "In train and in test rows", "a.mp4", "1.mp4"),
    "a link": ("2,,,1,test a,,,1,train", "In train and in test rows", "2.mp4", "a.mp4"),
    "overlapping spans": ("a,0,2,1,train 1,1,3,2,test", "In train and in test rows", "a.mp4", "1.mp4"),
    "long": ("a,0,9,1,train a,1,2,1,train a,5,6,1,test", "In train and in test rows", "a.mp4", "a.mp4"),
    "a span without an end": ("a,7,8,1,train a,5,,1,test", "In train and in test rows", "a.mp4", "a.mp4"),
    "spans that meet": ("a,0,2,1,train a,2,4,2,test a,4,,3,train",),
    "a row twice": ("a,,,1,train a,,,1,train b,,,1,test",),
    "the same of other files": ("a,,,1,train b,,,1,test",),
    "two labels": ("a,,,1,train a,,,2,train b,,,1,test", "With two labels", "a.mp4", "a.mp4"),
    "two labels of a copy": ("a,,,1,train 1,,,2,train b,,,1,test", "With two labels", "a.mp4", "1.mp4"),
    "other labels of other spans": ("a,0,2,1,train a,1,2,2,train b,,,1,test",),
}


@pytest.mark.parametrize(("rows", "said"), [(rows, said) for rows, *said in REPEATS.values()], ids=REPEATS)
def test_clips_in_train_and_test_and_those_with_two_labels_are_warned_about_by_name(rows, said):
    Path("1.mp4").write_bytes(Path("a.mp4").read_bytes())
    Path("2.mp4").symlink_to("a.mp4")
    path = write("file,start,stop,label,split\n" + "\n".join(r[0] + ".mp4" + r[1:] for r in rows.split()))
    for split in ("train", "test"):
        with warnings.catch_warnings(record=True) as found:
            warnings.simplefilter("always")
            read(path, "regression", split)
        assert bool(found) == bool(said)
        if said:
            (message,) = (str(one.message) for one in found)
            assert re.search(
                rf"^{said[0]}: 1 clip\(s\), {said[1]} \(.*line .* and .*{said[2]} \(.*line", message
            )


def test_many_repeats_are_counted_and_ten_are_named():
    path = write([{"file": "a.mp4", "start": i, "stop": i + 2, "label": i} for i in range(99)])
    with pytest.warns(UserWarning, match=r"^In train .* \d\d clip\(s\), a.mp4[^;]*(; a.mp4[^;]*){9}$"):
        read(path, "regression", "train")


def test_one_image_with_two_questions_is_two_clips():
    rows = [{"video": "e.png", "audio": audio, "label": audio} for audio in ("f.wav", "a.mp4")]
    assert len(read(write([*rows, {**rows[0], "audio": "b.mp4"}]), "ranking", "train")[0]) == 2


@given(rows=st.integers(2, 40))
def test_without_a_split_always_the_same_fifth_is_held_out(rows):
    path = write([{"file": "a.mp4", "start": i, "stop": i + 1, "label": i} for i in range(rows)])
    train, test, again = (read(path, "regression", split)[1] for split in ("train", "test", "test"))
    assert sorted([*train, *test]) == list(range(rows)) and len(test) == max(1, rows // 5)
    np.testing.assert_array_equal(again, test)


# ---- what is refused, and where it says that it is wrong


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        ("classification", "file,label\na.mp4,\n", "line 2, column label: expected a word .* got 'nothing'"),
        ("classification", "file,label\na.mp4,dog\nb.mp4,dog\n", "two classes"),
        (
            "classification",
            "file,label\nz.mp4,dog\n",
            "line 2, column file: expected a file that is there, got 'z",
        ),
        ("classification", "file,labell\na.mp4,dog\n", "line 2.*: unknown column 'labell'"),
        ("classification", "file,label,file\na.mp4,dog,b.mp4\n", "line 1 .*a column is there twice"),
        ("classification", "file,label\na.mp4,dog,3\n", "line 2 .*: unknown column ''"),
        ("classification", "file,label\n", "holds no row"),
        ("classification", 'file,label\n"a.mp4,dog\n', "unexpected end of data"),
        ("regression", "file,label,start,stop\na.mp4,1,2,2\n", r"seconds from 0 and before stop \(2.0\)"),
        (
            "regression",
            "file,label,split\na.mp4,1,dev\n",
            "column split: expected train or test .* got 'dev'",
        ),
        ("regression", "file,label,split\na.mp4,1,test\n", "rows to train on, and rows to test on"),
        ("labels", "file,label\na.mp4,\nb.mp4,\n", "one name"),
        ("labels", "file,label\na.mp4,warm||cold\nb.mp4,\n", "expected a list of names, or of 0 and 1"),
        ("soft-labels", "file,label\na.mp4,red\n", "line 2, column label: expected answers with scores"),
        ("soft-labels", "file,label\na.mp4,red:1\nb.mp4,red:0\n", "two answers"),
        ("regression", "file;label\na.mp4;2,5\n", "line 2, column label: .* a number like 2.5, got '2,5'"),
        ("regression", "file,label\na.mp4,1_0\n", "expected a number like 2.5, got '1_0'"),
        ("regression", "file,label\na.mp4,1e39\n", "expected a number like 2.5, got '1e39'"),
        ("regression", "file,start,label\na.mp4,,1\nb.mp4\n", "line 2 or the next: expected 3 cells, got 1"),
        ("guessing", "file,label\na.mp4,dog\n", "task must be one of classification, .* ranking"),
    ],
)
def test_what_is_wrong_in_a_csv_file_is_found(task, text, expected):
    with pytest.raises(ValueError, match=expected):
        read(write(text), task, "train")


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        ("classification", '{"file": "a.mp4", "label": true}', "expected a word or an integer, got True"),
        ("classification", '{"file": "a.mp4", "label": null}', "column label: .*, got 'nothing'"),
        ("classification", '{"file": 3, "label": "x"}', "column file: expected a file that is there, got 3"),
        ("classification", '\n{"file": "a.mp4", "label"', "line 1 or the next: "),
        ("classification", '["a.mp4"]', r"expected a JSON object, got \[\"a.mp4\"\]"),
        ("classification", "[" * 100_000, "recursion"),
        ("regression", '{"file": "a.mp4", "label": true}', "expected a number like 2.5, got True"),
        ("regression", f'{{"file": "a.mp4", "label": 1{"0" * 400}}}', "expected a number like 2.5, got 1"),
        ("labels", '{"file": "a.mp4", "label": 0}', "expected a list of names, or of 0 and 1, got 0"),
        ("classification", '{"file": "a.mp4", "label": NaN}', "expected a word or an integer, got nan"),
    ],
)
def test_what_is_wrong_in_a_json_file_is_found(task, text, expected):
    with pytest.raises(ValueError, match=expected):
        read(write(text, "jsonl"), task, "train")


def test_files_that_are_no_label_files_are_refused():
    with pytest.raises(ValueError, match="label file that is there"):
        read_rows(Path("nothing.csv"))
    with pytest.raises(ValueError, match=r"ends in \.csv, \.jsonl, \.ndjson"):
        read_rows(Path("a.mp4"))
    Path("latin.csv").write_bytes("file,label\na.mp4,Gr\xf6\xdfe\n".encode("latin-1"))
    with pytest.raises(ValueError, match="'utf-8' codec can't decode"):
        read_rows(Path("latin.csv"))


DAMAGE = {
    "cut off": lambda rng, data: data[: rng.randrange(len(data))],
    "bytes": lambda rng, data: data[:9] + rng.randbytes(20) + data[rng.randrange(len(data)) :],
    "NUL characters": lambda rng, data: data.replace(b"a", b"\0", 2),
    "a huge field": lambda rng, data: data.replace(b"3", b"9" * rng.choice([400, 5000, 200_000])),
    "other files": lambda rng, data: data.replace(b"a.mp4", rng.choice([b"/dev/zero", b"..", b"a.mp4/b"])),
}


@pytest.mark.parametrize("damage", DAMAGE.values(), ids=DAMAGE)
def test_damaged_files_are_read_or_refused_in_a_sentence(damage):
    rng = random.Random(0)
    rows = name_files([3, 4.5, 6, 3])
    table = "file,label\n" + "".join(f"{row['file']},{row['label']}\n" for row in rows)
    for suffix, text in (("csv", table), ("jsonl", "\n".join(map(json.dumps, rows)))):
        for task in ("classification", "regression", "labels", "soft-labels", "ranking") * 3:
            Path(f"any.{suffix}").write_bytes(damage(rng, text.encode()))
            try:
                _, labels, _ = read(f"any.{suffix}", task, "train")
            except ValueError as error:
                assert 10 < len(str(error)) < 500 and "\0" not in str(error)
            else:
                assert labels is None or np.isfinite(labels).all()
