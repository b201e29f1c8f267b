"""Labels of media files: a JSON-lines or CSV file with a row for each clip.

A row names `file` (frames and audio of one file), or `video` and `audio` (apart, for instance an image and
a spoken question; one alone is enough), relative to the folder of the label file. `start` and `stop` are
seconds. `split` is "train" or "test"; where no row has it, a fifth is drawn for the test. `label` is, for the
task of

    classification: a word or an integer
    regression: a number
    labels: a list of the names that hold, or of 0 and 1 for each label      in CSV: warm|large, or 1|0|1
    soft-labels: a score for each answer, from 0 to 1: {"red": 1, "pink": 0.3}    in CSV: red:1|pink:0.3
    ranking: nothing: every clip's own video is the right one
"""

import csv
import io
import json
import math
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

import numpy as np
from jaxtyping import Bool, Float, Int, Shaped

COLUMNS = ("file", "video", "audio", "start", "stop", "split", "label")


@dataclass(frozen=True)
class MediaClip:
    """Where a clip is found: in one file, or its frames and its audio each in their own, or one alone.

    `start` and `stop` are seconds of all of its files; an image is there at every time.
    """

    file: Path | None = None  # frames and audio of the same time
    video: Path | None = None
    audio: Path | None = None
    start: float = 0.0
    stop: float | None = None
    name: str = ""  # in messages

    @property
    def modalities(self) -> tuple[bool, bool]:
        """Whether the clip has frames, and whether it has audio"""
        return bool(self.file or self.video), bool(self.file or self.audio)

    @property
    def files(self) -> list[Path]:
        """The files that are given"""
        return [path for path in (self.file, self.video, self.audio) if path is not None]


@dataclass(frozen=True)
class Row:
    """One line of a label file: values under the names of their columns; empty ones are left out"""

    name: str  # the file and the line, in messages
    folder: Path
    values: dict[str, Any]

    def fail(self, column: str, expected: str) -> NoReturn:
        """Raise a ValueError that says where something is wrong."""
        found = self.values.get(column, "nothing")
        raise ValueError(f"{self.name}, column {column}: expected {expected}, got {found!r:.100}.")

    def parse(self, column: str, parse: Callable[[Any], Any], expected: str, default: Any = "") -> Any:
        """Convert the value of a column."""
        try:
            return parse(self.values.get(column, default))
        except (ValueError, TypeError, AttributeError, OverflowError):
            self.fail(column, expected)


def read_labels(
    path: str | os.PathLike[str], task: str, split: str
) -> tuple[list[MediaClip], Shaped[np.ndarray, "clips *labels"] | None, tuple[str, ...]]:
    """Read the rows of a label file that are for training, or for the test.

    Args:
        path: ends in .csv, .jsonl or .ndjson.
        task: a `loss_type` of the configuration; ranking reads no labels.
        split: "train" or "test"; where no row says which, always the same fifth is for the test.

    Returns:
        The clips; their labels as `TaskBatch` has them; the names of classes, labels or answers in the order
        of their numbers.

    Raises:
        ValueError: what is wrong, with the line and the column: a file that is not there, an unknown column,
            a label that does not fit the task, fewer than two classes, nothing to learn from or to test.
    """
    if task not in LABELS:
        raise ValueError(f"task must be one of {', '.join(LABELS)}, not {task!r}.")
    rows = read_rows(Path(path))
    clips = [read_clip_of_row(row) for row in rows]
    expected, parse, number = LABELS[task]
    labels, names = number([row.parse("label", parse, expected) for row in rows])
    is_test = split_rows(rows)
    has_one_class = task == "classification" and len(np.unique(labels[~is_test])) < 2
    if has_one_class or (task == "labels" and not names):
        raise ValueError(f"{path}, column label: expected two classes, or one name, in the rows to train on.")
    chosen = np.flatnonzero(is_test == (split == "test"))
    return [clips[i] for i in chosen], None if labels is None else labels[chosen], names


def read_rows(path: Path) -> list[Row]:
    """Read all rows of a file whose name ends in .csv, .jsonl or .ndjson.

    Raises:
        ValueError: no such file, another ending, text that is not UTF-8, a line that is no row, an unknown or
            repeated column, no row at all.
    """
    if path.suffix.lower() not in ROWS:
        raise ValueError(f"{path}: expected a label file that ends in {', '.join(ROWS)}.")
    rows, line = [], 1
    try:
        for line, values in ROWS[path.suffix.lower()](path.read_bytes().decode("utf-8-sig")):
            unknown = [name for name in values if name not in COLUMNS]
            if unknown:
                raise ValueError(f"unknown column {unknown[0]!r}: the columns are {', '.join(COLUMNS)}")
            rows.append(Row(f"{path}, line {line}", path.parent, values))
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise ValueError(f"{path}, at line {line} or the next: {error}.") from None
    if not rows:
        raise ValueError(f"{path} holds no row: expected one for each clip.")
    return rows


def read_csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a header, and the cells of each further line that are not empty, with the number of the line."""
    reader = csv.DictReader(io.StringIO(text, newline=""), strict=True)
    header = [name.strip() for name in reader.fieldnames or () if name.strip()]
    if len(set(header)) < len(header):
        raise ValueError(f"a column is there twice among {header}")
    for cells in reader:
        texts = {(name or "").strip(): "".join(cell or "").strip() for name, cell in cells.items()}
        if any(texts.values()):
            yield reader.line_num, {name: cell for name, cell in texts.items() if cell}


def read_json_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a JSON object from each line that is not empty, with its number; null counts as absent."""
    for line, part in enumerate(text.split("\n"), start=1):
        if part.strip():
            values = json.loads(part)
            if not isinstance(values, dict):
                raise ValueError(f"expected a JSON object, got {part.strip():.60}")
            yield line, {name: value for name, value in values.items() if value is not None}


ROWS = {".csv": read_csv_rows, ".jsonl": read_json_rows, ".ndjson": read_json_rows}


def read_clip_of_row(row: Row) -> MediaClip:
    """Read where a row's clip is found; its files must be there."""
    named = {column: row.values[column] for column in ("file", "video", "audio") if column in row.values}
    if not named or ("file" in named and len(named) > 1):
        row.fail("file", "a file, or a video and an audio apart, or one of these alone")
    paths = {column: row.folder / str(name) for column, name in named.items()}
    for column, path in paths.items():
        if not os.path.isfile(path):  # a name that no file can have is no error here
            row.fail(column, "a file that is there")
    start = row.parse("start", parse_number, "seconds", 0.0)
    stop = row.parse("stop", parse_number, "seconds") if "stop" in row.values else None
    if start < 0 or (stop is not None and stop <= start):
        row.fail("start", f"seconds from 0 and before stop ({stop})")
    return MediaClip(**paths, start=start, stop=stop, name=row.name)


def split_rows(rows: Sequence[Row]) -> Bool[np.ndarray, " rows"]:
    """Tell which rows are held out: those that say so, or a fifth of them, always the same."""
    splits = [row.values.get("split") for row in rows]
    for row in rows if any(splits) else ():
        if row.values.get("split") not in ("train", "test"):
            row.fail("split", "train or test in all rows")
    drawn = np.random.default_rng(0).permutation(len(rows))[: max(1, len(rows) // 5)]
    is_test = np.array(splits) == "test" if any(splits) else np.isin(np.arange(len(rows)), drawn)
    if is_test.all() or not is_test.any():
        raise ValueError(f"{rows[0].name}, column split: expected rows to train on, and rows to test on.")
    return is_test


def parse_number(value: Any) -> float:
    """A finite number, or its text."""
    if isinstance(value, bool) or not math.isfinite(float(value)):
        raise ValueError
    return float(value)


def parse_class(value: Any) -> str:
    """A word, or an integer as a word."""
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        raise ValueError
    return str(value).strip()


def parse_list(value: Any) -> list[str]:
    """A list of names or of 0 and 1, or its text, separated by |."""
    items = value.split("|") if isinstance(value, str) and value else value or ()
    return [parse_class(int(item) if isinstance(item, bool) else item) for item in items]


def parse_answers(value: Any) -> dict[str, float]:
    """Answers and their scores from 0 to 1, or their text, answer:score separated by |."""
    if isinstance(value, str):
        value = {answer: score for answer, _, score in (item.rpartition(":") for item in value.split("|"))}
    scores = {answer.strip(): parse_number(score) for answer, score in value.items()}
    if not all(0 <= score <= 1 for score in scores.values()):
        raise ValueError
    return scores


def sort_names(names: set[str]) -> tuple[str, ...]:
    """Sort words by the alphabet; if all are integers, by size.

    >>> sort_names({"10", "9"}), sort_names({"10", "9", "sun"})
    (('9', '10'), ('10', '9', 'sun'))
    """
    is_numeric = all(name.removeprefix("-").isdecimal() and len(name) < 19 for name in names)
    return tuple(sorted(names, key=(lambda name: (int(name), name)) if is_numeric else None))


def number_classes(words: list[str]) -> tuple[Int[np.ndarray, " rows"], tuple[str, ...]]:
    """Number the classes: words by the alphabet, integers by size."""
    names = sort_names(set(words))
    return np.array([names.index(word) for word in words]), names


def number_lists(lists: list[list[str]]) -> tuple[Bool[np.ndarray, "rows k"], tuple[str, ...]]:
    """Tell which labels hold, by their names, or by one 0 or 1 for each."""
    names, lengths = sort_names({item for items in lists for item in items}), set(map(len, lists))
    if names and set(names) <= {"0", "1"}:
        if len(lengths) > 1:
            raise ValueError(f"Expected labels of 0 and 1 of one length in all rows, got lengths {lengths}.")
        return np.array(lists) == "1", tuple(f"label {i + 1}" for i in range(len(lists[0])))
    return np.array([[name in items for name in names] for items in lists], bool), names


def number_answers(scores: list[dict[str, float]]) -> tuple[Float[np.ndarray, "rows k"], tuple[str, ...]]:
    """Put scores in the order of the answers; an answer that a row does not name has 0."""
    names = sort_names({answer for answers in scores for answer in answers})
    return np.array([[answers.get(name, 0.0) for name in names] for answers in scores], np.float32), names


# What a label must be, how it is parsed, and how all of them become an array, with the names of its columns
LABELS: dict[str, tuple[str, Callable[[Any], Any], Callable[[list[Any]], tuple[Any, tuple[str, ...]]]]] = {
    "classification": ("a word or an integer", parse_class, number_classes),
    "regression": ("a number", parse_number, lambda numbers: (np.array(numbers, np.float32), ())),
    "labels": ("a list of names, or of 0 and 1", parse_list, number_lists),
    "soft-labels": ("answers with scores from 0 to 1", parse_answers, number_answers),
    "ranking": ("", bool, lambda _: (None, ())),
}
