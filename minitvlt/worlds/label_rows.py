"""The rows of a JSON-lines or CSV file, each with its line, so that whatever is wrong can be found."""

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NoReturn

COLUMNS = ("file", "video", "audio", "start", "stop", "split", "label")


@dataclass(frozen=True)
class Row:
    """What one line says: values under the names of their columns; empty ones are left out"""

    path: Path
    line: int  # counted from 1
    values: dict[str, Any]
    is_text: bool  # CSV: all values are text

    @property
    def name(self) -> str:
        """What to call it when it is reported"""
        return f"{self.path}, line {self.line}"

    def fail(self, column: str, reason: str) -> NoReturn:
        """Raise a ValueError that says where something is wrong."""
        raise ValueError(f"{self.name}, column {column}: {reason:.300}.")


def read_rows(path: Path) -> list[Row]:
    """Read all rows of a file whose name ends in .csv, .jsonl or .ndjson.

    Raises:
        ValueError: no such file, another ending, text that is not UTF-8, a line that is no row, an unknown or
            repeated column, no row at all.
    """
    readers = {".csv": read_csv_rows, ".jsonl": read_json_rows, ".ndjson": read_json_rows}
    reader = readers.get(path.suffix.lower())
    if reader is None:
        raise ValueError(f"{path}: expected a label file that ends in .csv, .jsonl or .ndjson.")
    if not path.is_file():
        raise ValueError(f"{path}: there is no such label file.")
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        raise ValueError(f"{path}, line {line}: expected text in UTF-8: save the file as such.") from None
    rows = reader(path, text)
    if not rows:
        raise ValueError(f"{path} holds no row: expected one for each clip.")
    return rows


def read_json_rows(path: Path, text: str) -> list[Row]:
    """Read a JSON object from each line; empty lines are passed over."""
    rows = []
    for line, part in enumerate(text.split("\n"), start=1):
        if not part.strip():
            continue
        row = Row(path, line, {}, is_text=False)
        try:
            pairs = json.loads(part, object_pairs_hook=Pairs)
        except (ValueError, RecursionError) as error:
            raise ValueError(f"{row.name}: expected a JSON object: {error}.") from None
        if not isinstance(pairs, Pairs):
            raise ValueError(f"{row.name}: expected a JSON object, got {part.strip():.60}.")
        check_columns(row, [name for name, _ in pairs])
        values = {name: join_pairs(row, name, value) for name, value in pairs if value is not None}
        rows.append(Row(path, line, values, is_text=False))
    return rows


class Pairs(list[tuple[str, Any]]):
    """A JSON object as it stands in the file: names may be there twice"""


def join_pairs(row: Row, column: str, value: Any) -> Any:
    """Turn an object within a row into a dictionary; the same name twice is refused."""
    if not isinstance(value, Pairs):
        return value
    joined = dict(value)
    if len(joined) < len(value):
        row.fail(column, f"the same name stands twice in {list(value)!r}")
    return joined


def read_csv_rows(path: Path, text: str) -> list[Row]:
    """Read a header and a row for each further line; cells are text, and empty ones are left out."""
    reader = csv.reader(io.StringIO(text, newline=""), strict=True)
    header: list[str] = []
    rows = []
    try:
        for cells in reader:
            row = Row(path, reader.line_num, {}, is_text=True)
            if not header:
                header = [cell.strip() for cell in cells]
                check_columns(row, header)
                continue
            if not cells:
                continue
            if len(cells) != len(header):
                raise ValueError(
                    f"{row.name}: expected {len(header)} cells, as the header has, got {len(cells)}."
                )
            values = {name: cell.strip() for name, cell in zip(header, cells, strict=True) if cell.strip()}
            rows.append(Row(path, reader.line_num, values, is_text=True))
    except csv.Error as error:
        raise ValueError(f"{path}, line {reader.line_num}: {error}.") from None
    return rows


def check_columns(row: Row, names: list[str]) -> None:
    """Refuse a column that is unknown or there twice."""
    for i, name in enumerate(names):
        if name not in COLUMNS:
            row.fail(repr(name), f"this column is unknown: the columns are {', '.join(COLUMNS)}")
        if name in names[:i]:
            row.fail(name, "this column is there twice")


def read_number(row: Row, column: str, default: float | None) -> float | None:
    """Read a finite number; the default where the row has none.

    Raises:
        ValueError: something else, with its line and column.
    """
    value = row.values.get(column, default)
    if value is default:
        return default
    try:
        is_number = row.is_text or (isinstance(value, int | float) and not isinstance(value, bool))
        number = float(value) if is_number else math.nan
    except (ValueError, OverflowError):
        number = math.nan
    if not math.isfinite(number):
        row.fail(column, f"expected a number, got {value!r}")
    return number
