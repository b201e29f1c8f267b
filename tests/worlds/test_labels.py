"""Label files: every kind of label in both formats, and one sentence that says where a file is wrong."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.model.tasks import check_labels
from minitvlt.worlds.labels import read_labels, read_rows


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    """A folder to work in, with files that rows can name."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.png", "f.wav", "ć d.mp4"):
        Path(name).write_bytes(b"x")


def write(text: str | list[dict], suffix: str = "csv") -> str:
    content = text if isinstance(text, str) else "\n".join(json.dumps(row) for row in text)
    name = f"labels.{suffix if isinstance(text, str) else 'jsonl'}"
    Path(name).write_text(content, encoding="utf-8")
    return name


def name_files(labels: list[Any], column: str = "label") -> list[dict]:
    return [{"file": f"{name}.mp4", column: label} for name, label in zip("abcd", labels, strict=False)]


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
        clips, labels, found = read_labels(path, task, "train")
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
    (a,), (label,), _ = read_labels("deep/labels.csv", "regression", "test")
    (c, b), labels, _ = read_labels("deep/labels.csv", "regression", "train")
    paths = Path("deep/../a.mp4"), Path("deep/../ć d.mp4"), Path("b.mp4").resolve()
    assert (a.file, c.file, b.file) == paths
    assert (a.start, a.stop, c.start, c.stop) == (1.5, 2.0, 0.0, None)
    assert c.name == "deep/labels.csv, line 4"
    assert label == 3.0 and labels.tolist() == [4.0, 5.0]


@given(rows=st.integers(2, 40))
def test_without_a_split_always_the_same_fifth_is_held_out(rows):
    path = write([{"file": "a.mp4", "start": i, "label": i} for i in range(rows)])
    train, test, again = (read_labels(path, "regression", split)[1] for split in ("train", "test", "test"))
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
        ("regression", "file,label\na.mp4,high\n", "line 2, column label: expected a number, got 'high'"),
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
        ("guessing", "file,label\na.mp4,dog\n", "task must be one of classification, .* ranking"),
    ],
)
def test_what_is_wrong_in_a_csv_file_is_found(task, text, expected):
    with pytest.raises(ValueError, match=expected):
        read_labels(write(text), task, "train")


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        ("classification", '{"file": "a.mp4", "label": true}', "expected a word or an integer, got True"),
        ("classification", '{"file": "a.mp4", "label": null}', "column label: .*, got 'nothing'"),
        ("classification", '{"file": 3, "label": "x"}', "column file: expected a file that is there, got 3"),
        ("classification", '\n{"file": "a.mp4", "label"', "line 1 or the next: "),
        ("classification", '["a.mp4"]', r"expected a JSON object, got \[\"a.mp4\"\]"),
        ("classification", "[" * 100_000, "recursion"),
        ("regression", '{"file": "a.mp4", "label": true}', "expected a number, got True"),
        ("regression", f'{{"file": "a.mp4", "label": 1{"0" * 400}}}', "expected a number, got 1"),
        ("labels", '{"file": "a.mp4", "label": 3}', "expected a list of names, or of 0 and 1, got 3"),
    ],
)
def test_what_is_wrong_in_a_json_file_is_found(task, text, expected):
    with pytest.raises(ValueError, match=expected):
        read_labels(write(text, "jsonl"), task, "train")


def test_files_that_are_no_label_files_are_refused():
    with pytest.raises(ValueError, match="No such file"):
        read_rows(Path("nothing.csv"))
    with pytest.raises(ValueError, match=r"ends in \.csv, \.jsonl, \.ndjson"):
        read_rows(Path("a.mp4"))
    Path("latin.csv").write_bytes("file,label\na.mp4,Gr\xf6\xdfe\n".encode("latin-1"))
    with pytest.raises(ValueError, match="'utf-8' codec can't decode"):
        read_rows(Path("latin.csv"))


@given(content=st.binary(max_size=60), ending=st.sampled_from(["csv", "jsonl"]))
def test_whatever_a_file_holds_it_is_read_or_refused(content, ending):
    Path(f"any.{ending}").write_bytes(content)
    for task in ("classification", "labels", "soft-labels"):
        with pytest.raises(ValueError, match="any"):
            read_labels(f"any.{ending}", task, "train")
