"""Labels of media files: a JSON-lines or CSV file with a row for each clip.

A row names `file` (pictures and sound of one file), or `video` and `audio` (apart, for instance a picture and
a spoken question; one alone is enough), relative to the folder of the label file. `start` and `stop` are
seconds. `split` is "train" or "test"; where no row has it, a fifth is drawn for the test. `label` is, for the
task of

    classification: a word or a whole number
    regression: a number
    labels: a list of the names that hold, or of 0 and 1 for each label      in CSV: warm|large, or 1|0|1
    soft-labels: how right each answer is, from 0 to 1: {"red": 1, "pink": 0.3}    in CSV: red:1|pink:0.3
    ranking: nothing: every clip's own video is the right one
"""

import math
import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

from minitvlt.worlds.label_rows import Row, read_number, read_rows
from minitvlt.worlds.labelled import LabelledClip

TEST_SHARE = 5  # one row in so many is held out where no row says which


@dataclass(frozen=True, eq=False)
class LabelTable:
    """Labelled clips, and the names of classes, labels or answers in the order of their numbers"""

    clips: tuple[LabelledClip, ...]
    labels: Shaped[np.ndarray, "clips *labels"] | None  # as `TaskBatch` has them; None for ranking
    names: tuple[str, ...]  # none where the label is a number, or nothing
    is_test: Bool[np.ndarray, " clips"]

    def select(self, is_test: bool) -> tuple[list[LabelledClip], Shaped[np.ndarray, "part *labels"] | None]:
        """The clips that are held out, or the others, with their labels."""
        chosen = np.flatnonzero(self.is_test == is_test)
        labels = None if self.labels is None else self.labels[chosen]
        return [self.clips[i] for i in chosen], labels


def read_labels(path: str | os.PathLike[str], task: str, seed: int = 0) -> LabelTable:
    """Read a label file for a task.

    Args:
        path: ends in .csv, .jsonl or .ndjson.
        task: a `loss_type` of the configuration.
        seed: which fifth of the rows is held out, if no row says so.

    Raises:
        ValueError: what is wrong, with the line and the column: a file that is not there, an unknown column,
            a label that does not fit the task, fewer than two classes, nothing to learn from or to test.
    """
    if task not in LABEL_READERS and task != "ranking":
        raise ValueError(f"task must be one of {', '.join(LABEL_READERS)} or ranking, not {task!r}.")
    rows = read_rows(Path(path))
    clips = tuple(read_clip_of_row(row) for row in rows)
    if task == "ranking":
        for row in rows:
            if row.values.get("label") is not None:
                row.fail("label", "there is nothing to label for ranking: leave this column out")
        return LabelTable(clips, None, (), split_rows(rows, seed))
    for row in rows:
        if "label" not in row.values and not (row.is_text and task == "labels"):
            row.fail("label", "the label is missing")
    labels, names = LABEL_READERS[task](rows)
    is_test = split_rows(rows, seed)
    if task == "classification" and len(np.unique(labels[~is_test])) < 2:
        raise ValueError(f"{path}, column label: expected at least two classes among the rows to learn from.")
    return LabelTable(clips, labels, names, is_test)


def read_clip_of_row(row: Row) -> LabelledClip:
    """Read where a row's clip is found."""
    named = [column for column in ("file", "video", "audio") if column in row.values]
    if not named or ("file" in named and len(named) > 1):
        row.fail("file", "expected a file, or a video and an audio apart, or one of these alone")
    paths = {column: find_file(row, column) for column in named}
    start = read_number(row, "start", 0.0)
    stop = read_number(row, "stop", None)
    if start < 0:
        row.fail("start", f"expected seconds, 0 or more, got {start:g}")
    if stop is not None and stop <= start:
        row.fail("stop", f"expected seconds after the start at {start:g}, got {stop:g}")
    return LabelledClip(**paths, start=start, stop=stop, name=row.name)


def find_file(row: Row, column: str) -> Path:
    """The file that a row names, which must be there."""
    name = row.values[column]
    if not isinstance(name, str):
        row.fail(column, f"expected the name of a file, got {name!r}")
    path = row.path.parent / name  # an absolute name stays as it is
    if not os.path.isfile(path):  # a name that no file can have is no error here
        row.fail(column, f"there is no file {name!r}")
    return path


def split_rows(rows: Sequence[Row], seed: int) -> Bool[np.ndarray, " rows"]:
    """Tell which rows are held out: those that say so, or a fifth of them, drawn by the seed."""
    said = [row.values.get("split") for row in rows]
    for row, split in zip(rows, said, strict=True):
        if split not in ("train", "test") and (split is not None or any(said)):
            found = "nothing, where other rows have one" if split is None else repr(split)
            row.fail("split", f"expected train or test, got {found}")
    if any(said):
        is_test = np.array([split == "test" for split in said])
    else:
        is_test = np.zeros(len(rows), bool)
        is_test[np.random.default_rng(seed).permutation(len(rows))[: max(1, len(rows) // TEST_SHARE)]] = True
    for kind, count in (("test", is_test.sum()), ("train", (~is_test).sum())):
        if count == 0:
            raise ValueError(f"{rows[0].path}, column split: no row is left to {kind} on.")
    return is_test


def read_classes(rows: Sequence[Row]) -> tuple[Int[np.ndarray, " rows"], tuple[str, ...]]:
    """Number the classes: words by the alphabet, whole numbers by size."""
    words = []
    for row in rows:
        label = row.values["label"]
        if isinstance(label, bool) or not isinstance(label, str | int) or str(label).strip() == "":
            row.fail("label", f"expected a word or a whole number, got {label!r}")
        words.append(str(label).strip())
    names = sort_names(set(words))
    return np.array([names.index(word) for word in words]), names


def sort_names(names: set[str]) -> tuple[str, ...]:
    """Sort words by the alphabet; if all are whole numbers, by size.

    >>> sort_names({"10", "9"}), sort_names({"10", "9", "sun"})
    (('9', '10'), ('10', '9', 'sun'))
    """
    is_numeric = all(name.removeprefix("-").isdecimal() and len(name) < 19 for name in names)
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if is_numeric else None))


def read_targets(rows: Sequence[Row]) -> tuple[Float[np.ndarray, " rows"], tuple[str, ...]]:
    """Read the numbers of a regression."""
    return np.array([read_number(row, "label", None) for row in rows], np.float32), ()


def read_label_lists(rows: Sequence[Row]) -> tuple[Bool[np.ndarray, "rows k"], tuple[str, ...]]:
    """Read which labels hold, from their names or from a list of 0 and 1."""
    lists = [cut_label(row) for row in rows]
    has_numbers = any(lists) and all(item in (0, 1, "0", "1") for items in lists for item in items)
    for row, items in zip(rows, lists, strict=True):
        if has_numbers and len(items) != len(lists[0]):
            row.fail("label", f"expected {len(lists[0])} times 0 or 1, as in the first row, got {len(items)}")
        if not has_numbers and not all(isinstance(item, str) and item.strip() for item in items):
            row.fail("label", f"expected names alone, or 0 and 1 alone, got {row.values['label']!r}")
    if has_numbers:
        values = np.array([[item in (1, "1") for item in items] for items in lists])
        return values, tuple(f"label {i + 1}" for i in range(values.shape[1]))
    names = sort_names({item.strip() for items in lists for item in items})
    if not names:
        raise ValueError(f"{rows[0].path}, column label: no row names any label.")
    return np.array([[name in map(str.strip, items) for name in names] for items in lists]), names


def cut_label(row: Row) -> list[Any]:
    """The items of a list: of JSON, or separated by | in CSV; nothing is an empty list."""
    label = row.values.get("label", "")
    if row.is_text:
        return label.split("|") if label else []
    if not isinstance(label, list):
        row.fail("label", f"expected a list of names, or of 0 and 1, got {label!r}")
    return label


def read_answers(rows: Sequence[Row]) -> tuple[Float[np.ndarray, "rows k"], tuple[str, ...]]:
    """Read how right each answer is; what a row does not name is wrong."""
    scores = [cut_answers(row) for row in rows]
    for row, answers in zip(rows, scores, strict=True):
        for answer, score in answers.items():
            is_number = isinstance(score, int | float) and not isinstance(score, bool)
            if not is_number or not 0 <= score <= 1:
                row.fail("label", f"expected scores from 0 to 1, got {score!r} for {answer!r}")
    names = sort_names({answer for answers in scores for answer in answers})
    if len(names) < 2:
        raise ValueError(f"{rows[0].path}, column label: expected at least two answers, got {len(names)}.")
    return np.array([[answers.get(name, 0.0) for name in names] for answers in scores], np.float32), names


def cut_answers(row: Row) -> dict[str, Any]:
    """Answers and their scores: an object of JSON, or in CSV answer:score separated by |."""
    label = row.values["label"]
    if not row.is_text:
        if not isinstance(label, dict):
            row.fail("label", f"expected an object of answers and scores, got {label!r}")
        return label
    answers: dict[str, float] = {}
    for item in label.split("|"):
        answer, colon, score = item.rpartition(":")
        try:
            answers[answer.strip()] = float(score)
        except ValueError:
            colon = ""
        if not colon or math.isnan(answers[answer.strip()]):
            row.fail("label", f"expected answer:score, got {item!r}")
    return answers


LABEL_READERS: dict[str, Callable[[Sequence[Row]], tuple[np.ndarray, tuple[str, ...]]]] = {
    "classification": read_classes,
    "regression": read_targets,
    "labels": read_label_lists,
    "soft-labels": read_answers,
}
