"""Labels of media files: a JSON-lines or CSV file with a row for each clip, in UTF-8 or UTF-16.

The cells of a CSV file are separated by commas, semicolons or tabs; numbers have a decimal point.

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
import hashlib
import io
import json
import math
import os
import re
import warnings
from collections import Counter
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
        found = self.values.get(column, "") if self.values.get(column, "") != "" else "nothing"
        raise ValueError(f"{self.name}, column {column}: expected {expected}, got {found!r:.100}.")

    def parse(self, column: str, parse: Callable[[Any], Any], expected: str, default: Any = None) -> Any:
        """Convert the value of a column."""
        try:
            return parse(self.values.get(column, default))
        except (ValueError, TypeError, AttributeError, OverflowError):
            self.fail(column, expected)


@dataclass(frozen=True)
class LabelledClips:
    """The rows of a label file"""

    clips: list[MediaClip]
    labels: Shaped[np.ndarray, "clips *labels"] | None  # as `TaskBatch` has them; None for ranking
    names: tuple[str, ...]  # of classes, labels or answers, in the order of their numbers
    is_test: Bool[np.ndarray, " clips"]  # which are held out

    def select(self, split: str) -> tuple[list[MediaClip], Shaped[np.ndarray, "_ *labels"] | None]:
        """The clips to test on ("test"), or those to train on ("train"), and their labels."""
        if split not in ("train", "test"):
            raise ValueError(f'split must be "train" or "test", not {split!r}.')
        chosen = np.flatnonzero(self.is_test == (split == "test"))
        return [self.clips[i] for i in chosen], None if self.labels is None else self.labels[chosen]


def read_labels(path: str | os.PathLike[str], task: str) -> LabelledClips:
    """Read a label file. Where no row says what is held out for the test, it is always the same fifth.

    Args:
        path: ends in .csv, .jsonl or .ndjson.
        task: a `loss_type` of the configuration; ranking reads no labels.

    Raises:
        ValueError: what is wrong, with the line and the column: a file that is not there, an unknown column,
            a label that does not fit the task, fewer than two classes or answers, nothing to learn from or to
            test.

    Warns:
        UserWarning: clips that are both in rows to train on and in rows to test on, or have two labels.
    """
    if task not in LABELS:
        raise ValueError(f"task must be one of {', '.join(LABELS)}, not {task!r}.")
    rows = read_rows(Path(path))
    expected, parse, number = LABELS[task]
    labels, names = number([row.parse("label", parse, expected) for row in rows])
    table = LabelledClips([read_clip_of_row(row) for row in rows], labels, names, split_rows(rows))
    count = len(np.unique(labels[~table.is_test])) if task == "classification" else len(names)
    if count < {"classification": 2, "labels": 1, "soft-labels": 2}.get(task, 0):
        raise ValueError(f"{path}, column label: expected two classes, two answers or one name to train on.")
    warn_of_repeats(table)
    return table


def read_rows(path: Path) -> list[Row]:
    """Read all rows of a file whose name ends in .csv, .jsonl or .ndjson.

    Raises:
        ValueError: no such file, another ending, text that is not UTF-8 or UTF-16, a line that is no row, an
            unknown or repeated column, no row at all.
    """
    if path.suffix.lower() not in ROWS or not path.is_file():
        raise ValueError(f"{path}: expected a label file that is there and ends in {', '.join(ROWS)}.")
    rows, line = [], 1
    try:
        data = path.read_bytes()
        for line, values in ROWS[path.suffix.lower()](data.decode(json.detect_encoding(data))):
            if unknown := [name for name in values if name not in COLUMNS]:
                raise ValueError(f"unknown column {unknown[0]!r:.60}: the columns are {', '.join(COLUMNS)}")
            rows.append(Row(f"{path}, line {line}", path.parent, values))
    except (OSError, ValueError, csv.Error, RecursionError) as error:
        raise ValueError(f"{path}, at line {line} or the next: {error}.") from None
    if not rows:
        raise ValueError(f"{path} holds no row: expected one for each clip.")
    return rows


def read_csv_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a header, and the cells of each further line that are not empty, with the number of the line.

    The separator is that of the header, or what a first line such as sep=; says. An empty label is kept.
    """
    _, told, text = re.match("(sep=(.))?(.*)", text, re.DOTALL).groups()
    separator = told or max(",;\t", key=re.split("[\r\n]", text.lstrip())[0].count)
    lines = io.StringIO(text, newline="")
    reader = csv.reader(lines, delimiter=separator, skipinitialspace=True, strict=True)
    rows = (row for row in ([cell.strip() for cell in cells] for cells in reader) if any(row))
    header = next(rows, [])
    named = [name for name in header if name]
    if len(set(named)) < len(named):
        raise ValueError(f"a column is there twice among {named!s:.300}")
    for cells in rows:
        if {"file", "video", "audio", "label"} & {*header[len(cells) :]}:
            raise ValueError(f"expected {len(named)} cells, got {len(cells)}: {separator.join(cells)!r:.60}")
        pairs = zip(header + [""] * len(cells), cells, strict=False)
        yield reader.line_num, {name: cell for name, cell in pairs if cell or name == "label"}


def read_json_rows(text: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Read a JSON object from each line that is not empty, with its number; null counts as absent."""
    for line, part in enumerate(io.StringIO(text, newline=None), start=1):
        if part.strip():
            if not isinstance(values := json.loads(part), dict):
                raise ValueError(f"expected a JSON object, got {part.strip():.60}")
            yield line, {name: value for name, value in values.items() if value is not None}


ROWS = {".csv": read_csv_rows, ".jsonl": read_json_rows, ".ndjson": read_json_rows}


def read_clip_of_row(row: Row) -> MediaClip:
    """Read where a row's clip is found; its files must be there."""
    named = {column: row.values[column] for column in ("file", "video", "audio") if column in row.values}
    if not named or ("file" in named and len(named) > 1):
        row.fail("file", "a file, or a video and an audio apart, or one of these alone")
    paths = {}
    for column, name in named.items():
        spellings = row.folder / str(name), row.folder / str(name).replace("\\", "/")  # as Windows has it
        existing = filter(os.path.isfile, spellings)  # a name that no file can have is no error here
        paths[column] = next(existing, None) or row.fail(column, "a file that is there")
    start = row.parse("start", parse_number, "seconds, such as 2.5", 0.0)
    stop = row.parse("stop", parse_number, "seconds, such as 2.5") if "stop" in row.values else None
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


def warn_of_repeats(table: LabelledClips) -> None:
    """Warn of clips, by content, that overlap with clips of the other split, or that have two labels."""
    clips, names = table.clips, [f"{clip.files[0].name} ({clip.name})" for clip in table.clips]
    paths = {path for clip in clips for path in clip.files}
    sizes = Counter(map(os.path.getsize, paths))
    contents = {path: hash_file(path) if sizes[os.path.getsize(path)] > 1 else path for path in paths}
    stops = [clip.stop or math.inf for clip in clips]
    first: dict[Any, int] = {}  # row of each clip
    last: dict[Any, int] = {}  # row of each content and split that ends last so far
    shared, relabelled = [], []  # the names of two clips each
    for i in sorted(range(len(clips)), key=lambda i: clips[i].start):
        content, is_held_out = tuple(contents[path] for path in clips[i].files), bool(table.is_test[i])
        j = first.setdefault((content, clips[i].start, stops[i]), i)
        if table.labels is not None and np.any(table.labels[i] != table.labels[j]):
            relabelled.append(f"{names[j]} and {names[i]}")
        j = last.get((content, not is_held_out))
        if j is not None and clips[i].start < stops[j]:
            shared.append(f"{names[j]} and {names[i]}")
        last[content, is_held_out] = max(i, last.get((content, is_held_out), i), key=stops.__getitem__)
    for what, pairs in (("In train and in test rows", shared), ("With two labels", relabelled)):
        if pairs:
            warnings.warn(f"{what}: {len(pairs)} clip(s), {'; '.join(pairs[:10])}.", stacklevel=3)


def hash_file(path: Path) -> Any:
    """Hash the content of a file; an empty or unreadable one, which is of no use, is given back."""
    if not os.path.getsize(path) or not os.access(path, os.R_OK):
        return path
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").digest()


def parse_number(value: Any) -> float:
    """A number that float32 can hold, or its text."""
    if isinstance(value, bool) or "_" in str(value) or not abs(float(value)) < 1e30:
        raise ValueError
    return float(value)


def parse_class(value: Any) -> str:
    """A word, or an integer as a word, also where a spreadsheet has made 1.0 of it."""
    word = " ".join(str(value).split())
    if isinstance(value, bool) or not isinstance(value, str | int | float) or not word or value != value:
        raise ValueError
    return re.sub(r"^(-?\d+)\.0+$", r"\1", word)


def parse_list(value: Any) -> list[str]:
    """A list of names or of 0 and 1, or its text, separated by |."""
    if isinstance(value, str):
        value = value.split("|") if value else []
    return [parse_class(int(item) if isinstance(item, bool) else item) for item in value + []]


def parse_answers(value: Any) -> dict[str, float]:
    """Answers and their scores from 0 to 1, or their text, answer:score separated by |."""
    pairs = [x.rpartition(":")[::2] for x in value.split("|")] if isinstance(value, str) else value.items()
    scores = {parse_class(answer): parse_number(score) for answer, score in pairs}
    if len(scores) < len(pairs) or not all(0 <= score <= 1 for score in scores.values()):
        raise ValueError
    return scores


def number_names(names: set[str]) -> dict[str, int]:
    """Number words, and sort them, by the alphabet; if all are integers, by size.

    >>> number_names({"10", "9"}), number_names({"10", "9", "sun"})
    ({'9': 0, '10': 1}, {'10': 0, '9': 1, 'sun': 2})
    """
    is_numeric = all(name.removeprefix("-").isdecimal() and len(name) < 19 for name in names)
    ordered = sorted(names, key=(lambda name: (int(name), name)) if is_numeric else None)
    return {name: number for number, name in enumerate(ordered)}


def number_classes(words: list[str]) -> tuple[Int[np.ndarray, " rows"], tuple[str, ...]]:
    """Number the classes: words by the alphabet, integers by size."""
    numbers = number_names(set(words))
    return np.array([numbers[word] for word in words]), tuple(numbers)


def number_lists(lists: list[list[str]]) -> tuple[Bool[np.ndarray, "rows k"], tuple[str, ...]]:
    """Tell which labels hold, by their names, or by one 0 or 1 for each."""
    found, lengths = {item for items in lists for item in items}, set(map(len, lists))
    if found and found <= {"0", "1"}:
        if len(lengths) > 1:
            raise ValueError(f"Expected labels of 0 and 1 of one length in all rows, got lengths {lengths}.")
        return np.array(lists) == "1", tuple(f"label {i + 1}" for i in range(len(lists[0])))
    table, names = number_answers([dict.fromkeys(items, 1.0) for items in lists])
    return table > 0, names


def number_answers(scores: list[dict[str, float]]) -> tuple[Float[np.ndarray, "rows k"], tuple[str, ...]]:
    """Put scores in the order of the answers; an answer that a row does not name has 0."""
    numbers = number_names({answer for answers in scores for answer in answers})
    table = np.zeros((len(scores), len(numbers)), np.float32)
    for row, answers in zip(table, scores, strict=True):
        row[[numbers[name] for name in answers]] = list(answers.values())
    return table, tuple(numbers)


# What a label must be, how it is parsed, and how all of them become an array, with the names of its columns
LABELS: dict[str, tuple[str, Callable[[Any], Any], Callable[[list[Any]], tuple[Any, tuple[str, ...]]]]] = {
    "classification": ("a word or an integer", parse_class, number_classes),
    "regression": ("a number like 2.5", parse_number, lambda numbers: (np.array(numbers, np.float32), ())),
    "labels": ("a list of names, or of 0 and 1", parse_list, number_lists),
    "soft-labels": ("answers with scores from 0 to 1", parse_answers, number_answers),
    "ranking": ("", bool, lambda _: (None, ())),
}
