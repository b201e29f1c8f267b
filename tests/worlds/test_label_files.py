"""Label files: every kind of label in both formats, and one sentence that says where a file is wrong."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from minitvlt.model.tasks import check_labels
from minitvlt.worlds.label_files import read_labels, sort_names, split_rows
from minitvlt.worlds.label_rows import Row, read_rows


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    """A folder to work in, with files that rows can name."""
    monkeypatch.chdir(tmp_path)
    for name in ("a.mp4", "b.mp4", "c.mp4", "d.mp4", "e.png", "f.wav", "ć d.mp4"):
        Path(name).write_bytes(b"x")


def write_csv(text: str) -> str:
    Path("labels.csv").write_text(text, encoding="utf-8")
    return "labels.csv"


def write_json(*rows: dict) -> str:
    Path("labels.jsonl").write_text("\n".join(json.dumps(row) for row in rows), encoding="utf-8")
    return "labels.jsonl"


# What is read


@pytest.mark.parametrize("form", ["csv", "json"])
def test_classes_are_numbered_by_the_alphabet(form):
    if form == "csv":
        path = write_csv("file,label,split\na.mp4,dog,train\nb.mp4, cat ,train\nc.mp4,dog,test\n")
    else:
        rows = (("a.mp4", "dog", "train"), ("b.mp4", "cat", "train"), ("c.mp4", "dog", "test"))
        path = write_json(*({"file": f, "label": label, "split": split} for f, label, split in rows))
    table = read_labels(path, "classification")
    assert table.names == ("cat", "dog")
    assert table.labels.tolist() == [1, 0, 1]
    assert table.is_test.tolist() == [False, False, True]
    assert [clip.file for clip in table.clips] == [Path("a.mp4"), Path("b.mp4"), Path("c.mp4")]
    assert table.clips[1].name == f"{path}, line {3 if form == 'csv' else 2}"
    check_labels("classification", table.labels, 3, 2)


def test_classes_that_are_whole_numbers_are_numbered_by_size():
    table = read_labels(
        write_json(*({"file": "a.mp4", "label": n} for n in (10, 9, -2, 9, 10))), "classification"
    )
    assert table.names == ("-2", "9", "10") and table.labels.tolist() == [2, 1, 0, 1, 2]


@pytest.mark.parametrize("form", ["csv", "json"])
def test_numbers_of_a_regression(form):
    path = (
        write_csv("file,label\na.mp4,-1.5\nb.mp4,2e3\n")
        if form == "csv"
        else write_json({"file": "a.mp4", "label": -1.5}, {"file": "b.mp4", "label": 2000})
    )
    table = read_labels(path, "regression")
    assert table.labels.tolist() == [-1.5, 2000.0] and table.names == ()
    check_labels("regression", table.labels, 2, 1)


@pytest.mark.parametrize(
    "path",
    [
        lambda: write_csv("file,label\na.mp4,warm|large\nb.mp4,\nc.mp4,large\n"),
        lambda: write_json(
            {"file": "a.mp4", "label": ["warm", "large"]},
            {"file": "b.mp4", "label": []},
            {"file": "c.mp4", "label": ["large"]},
        ),
    ],
)
def test_labels_that_hold_are_named(path):
    table = read_labels(path(), "labels")
    assert table.names == ("large", "warm")
    assert table.labels.tolist() == [[True, True], [False, False], [True, False]]
    check_labels("labels", table.labels, 3, 2)


@pytest.mark.parametrize(
    "path",
    [
        lambda: write_csv("file,label\na.mp4,1|0|1\nb.mp4,0|0|0\n"),
        lambda: write_json({"file": "a.mp4", "label": [1, 0, 1]}, {"file": "b.mp4", "label": [0, 0, 0]}),
        lambda: write_json(
            {"file": "a.mp4", "label": [True, False, True]}, {"file": "b.mp4", "label": [False] * 3}
        ),
    ],
)
def test_labels_may_be_a_row_of_0_and_1(path):
    table = read_labels(path(), "labels")
    assert table.names == ("label 1", "label 2", "label 3")
    assert table.labels.tolist() == [[True, False, True], [False, False, False]]


@pytest.mark.parametrize(
    "path",
    [
        lambda: write_csv("video,audio,label\na.mp4,f.wav,red:1|pink:0.3\ne.png,f.wav,blue:0.6\n"),
        lambda: write_json(
            {"video": "a.mp4", "audio": "f.wav", "label": {"red": 1, "pink": 0.3}},
            {"video": "e.png", "audio": "f.wav", "label": {"blue": 0.6}},
        ),
    ],
)
def test_answers_have_scores_and_what_is_not_named_is_wrong(path):
    table = read_labels(path(), "soft-labels")
    assert table.names == ("blue", "pink", "red")
    np.testing.assert_allclose(table.labels, [[0, 0.3, 1], [0.6, 0, 0]])
    check_labels("soft-labels", table.labels, 2, 3)
    assert table.clips[1].video == Path("e.png") and table.clips[1].audio == Path("f.wav")


def test_an_answer_may_hold_a_colon():
    table = read_labels(write_csv("file,label\na.mp4,3:1|10:30:0.5\n\nb.mp4,3:0\n"), "soft-labels")
    assert table.names == ("10:30", "3")


def test_ranking_needs_no_label():
    table = read_labels(write_csv("file\na.mp4\nb.mp4\n"), "ranking")
    assert table.labels is None and table.names == () and len(table.clips) == 2
    assert table.select(True)[1] is None


def test_spans_names_and_empty_lines():
    path = write_csv('\ufefffile , start,stop,label\n\n"a.mp4",1.5,2,3\nć d.mp4,,,4\n')
    table = read_labels(path, "regression")
    first, second = table.clips
    assert (first.start, first.stop, second.start, second.stop) == (1.5, 2.0, 0.0, None)
    assert second.file == Path("ć d.mp4") and second.name == "labels.csv, line 4"


def test_files_are_looked_for_beside_the_label_file():
    Path("deep").mkdir()
    Path("deep/labels.csv").write_text(f"file,label\n../a.mp4,1\n{Path('b.mp4').resolve()},2\n")
    table = read_labels("deep/labels.csv", "regression")
    assert [clip.file for clip in table.clips] == [Path("deep/../a.mp4"), Path("b.mp4").resolve()]


def test_selecting_takes_the_clips_with_their_own_labels():
    path = write_csv("file,label,split\na.mp4,1,test\nb.mp4,2,train\nc.mp4,3,test\n")
    clips, labels = read_labels(path, "regression").select(True)
    assert [clip.file.name for clip in clips] == ["a.mp4", "c.mp4"] and labels.tolist() == [1.0, 3.0]


@given(rows=st.integers(2, 40), seed=st.integers(0, 99))
def test_without_a_split_a_fifth_is_held_out_the_same_for_the_same_seed(rows, seed):
    made = [Row(Path("x"), i, {}, is_text=True) for i in range(rows)]
    is_test = split_rows(made, seed)
    assert is_test.sum() == max(1, rows // 5)
    assert (split_rows(made, seed) == is_test).all()
    if rows > 20:
        assert any((split_rows(made, other) != is_test).any() for other in range(seed + 1, seed + 9))


def test_names_are_sorted_by_size_if_all_are_whole_numbers():
    assert sort_names({"10", "9", "-1"}) == ("-1", "9", "10")
    assert sort_names({"10", "9", "x"}) == ("10", "9", "x")


# What is refused, and where it says that it is wrong


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        ("classification", "file,label\na.mp4,\n", "line 2, column label: the label is missing"),
        ("classification", "file,label\na.mp4,dog\nb.mp4,dog\n", "at least two classes"),
        ("classification", "file,label\nz.mp4,dog\n", "line 2, column file: there is no file 'z.mp4'"),
        ("classification", "label\ndog\n", "line 2, column file: expected a file, or a video and an audio"),
        ("classification", "file,video,label\na.mp4,b.mp4,dog\n", "expected a file, or a video and an audio"),
        ("classification", "file,labell\na.mp4,dog\n", "line 1, column 'labell': this column is unknown"),
        ("classification", "file,label,file\na.mp4,dog,b.mp4\n", "line 1, column file: .* there twice"),
        ("classification", "file,label\na.mp4,dog,3\n", "line 2: expected 2 cells, as the header has, got 3"),
        ("classification", "file,label\n", "holds no row"),
        ("classification", "", "holds no row"),
        ("classification", 'file,label\n"a.mp4,dog\n', "line 2: unexpected end of data"),
        ("regression", "file,label\na.mp4,high\n", "line 2, column label: expected a number, got 'high'"),
        ("regression", "file,label\na.mp4,nan\n", "expected a number, got 'nan'"),
        ("regression", "file,label,start\na.mp4,1,-2\n", "column start: expected seconds, 0 or more"),
        (
            "regression",
            "file,label,start,stop\na.mp4,1,2,2\n",
            "column stop: expected seconds after the start",
        ),
        ("regression", "file,label,start\na.mp4,1,soon\n", "column start: expected a number, got 'soon'"),
        ("regression", "file,label,split\na.mp4,1,dev\n", "column split: expected train or test, got 'dev'"),
        (
            "regression",
            "file,label,split\na.mp4,1,test\nb.mp4,2,\n",
            "line 3, .* got nothing, where other rows",
        ),
        ("regression", "file,label,split\na.mp4,1,test\n", "no row is left to train on"),
        ("regression", "file,label,split\na.mp4,1,train\n", "no row is left to test on"),
        ("regression", "file,label\na.mp4,1\n", "no row is left to train on"),
        ("labels", "file,label\na.mp4,\nb.mp4,\n", "no row names any label"),
        ("labels", "file,label\na.mp4,1|0\nb.mp4,1\n", "line 3, column label: expected 2 times 0 or 1"),
        ("labels", "file,label\na.mp4,warm||cold\nb.mp4,\n", "expected names alone, or 0 and 1 alone"),
        ("soft-labels", "file,label\na.mp4,red\n", "line 2, column label: expected answer:score, got 'red'"),
        ("soft-labels", "file,label\na.mp4,red:nan\n", "expected answer:score, got 'red:nan'"),
        ("soft-labels", "file,label\na.mp4,red:1.2\nb.mp4,red:1\n", "expected scores from 0 to 1, got 1.2"),
        ("soft-labels", "file,label\na.mp4,red:1\nb.mp4,red:0\n", "at least two answers, got 1"),
        ("ranking", "file,label\na.mp4,dog\nb.mp4,cat\n", "nothing to label for ranking"),
        ("guessing", "file,label\na.mp4,dog\n", "task must be one of classification, .* or ranking"),
    ],
)
def test_what_is_wrong_in_a_csv_file_is_found(task, text, expected):
    with pytest.raises(ValueError, match=expected):
        read_labels(write_csv(text), task)


@pytest.mark.parametrize(
    ("task", "text", "expected"),
    [
        ("classification", '{"file": "a.mp4", "label": true}', "expected a word or a whole number, got True"),
        ("classification", '{"file": "a.mp4", "label": 1.5}', "expected a word or a whole number, got 1.5"),
        ("classification", '{"file": "a.mp4", "label": " "}', "expected a word or a whole number"),
        ("classification", '{"file": "a.mp4"}', "line 1, column label: the label is missing"),
        ("classification", '{"file": "a.mp4", "label": null}', "the label is missing"),
        ("classification", '{"file": 3, "label": "x"}', "column file: expected the name of a file, got 3"),
        ("classification", '\n{"file": "a.mp4", "label"', "line 2: expected a JSON object: "),
        ("classification", '["a.mp4"]', r"line 1: expected a JSON object, got \[\"a.mp4\"\]"),
        ("classification", "[" * 100_000, "line 1: expected a JSON object"),
        ("classification", '{"file": "a.mp4", "file": "b.mp4", "label": 1}', "column file: .* there twice"),
        ("regression", '{"file": "a.mp4", "label": "1"}', "expected a number, got '1'"),
        ("regression", '{"file": "a.mp4", "label": true}', "expected a number, got True"),
        ("regression", '{"file": "a.mp4", "label": NaN}', "expected a number, got nan"),
        ("regression", f'{{"file": "a.mp4", "label": 1{"0" * 400}}}', "expected a number, got 1"),
        (
            "labels",
            '{"file": "a.mp4", "label": "warm"}',
            "expected a list of names, or of 0 and 1, got 'warm'",
        ),
        ("labels", '{"file": "a.mp4", "label": ["warm", 1]}', "expected names alone, or 0 and 1 alone"),
        ("soft-labels", '{"file": "a.mp4", "label": ["red"]}', "expected an object of answers and scores"),
        ("soft-labels", '{"file": "a.mp4", "label": {"red": "1"}}', "expected scores from 0 to 1, got '1'"),
        ("soft-labels", '{"file": "a.mp4", "label": {"a": 1, "a": 0}}', "the same name stands twice"),
    ],
)
def test_what_is_wrong_in_a_json_file_is_found(task, text, expected):
    Path("labels.jsonl").write_text(text)
    with pytest.raises(ValueError, match=expected):
        read_labels("labels.jsonl", task)


def test_files_that_are_none_are_refused():
    with pytest.raises(ValueError, match="there is no such label file"):
        read_rows(Path("nothing.csv"))
    with pytest.raises(ValueError, match=r"ends in \.csv, \.jsonl or \.ndjson"):
        read_rows(Path("a.mp4"))
    Path("latin.csv").write_bytes("file,label\na.mp4,Gr\xf6\xdfe\n".encode("latin-1"))
    with pytest.raises(ValueError, match="line 2: expected text in UTF-8"):
        read_rows(Path("latin.csv"))


@given(content=st.binary(max_size=60), ending=st.sampled_from(["csv", "jsonl"]))
def test_whatever_a_file_holds_it_is_read_or_refused(content, ending, tmp_path_factory):
    path = tmp_path_factory.mktemp("any") / f"labels.{ending}"
    path.write_bytes(content)
    for task in ("classification", "labels", "soft-labels"):
        with pytest.raises(ValueError, match="labels"):
            read_labels(path, task)
