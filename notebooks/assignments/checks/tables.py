"""Grades of many submissions as CSV, as HTML and as a feedback text for each student."""

import csv
import html
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from .finding import Found
from .grading import Grade

FORMULA_STARTS = ("=", "+", "-", "@", "\t", "\r")
STYLE = """body { font: 15px system-ui, sans-serif; margin: 2em; }
table { border-collapse: collapse; margin-bottom: 2em; }
th, td { border: 1px solid #bbb; padding: 0.3em 0.6em; text-align: left; vertical-align: bottom; }
th:first-child, td:first-child { position: sticky; left: 0; background: white; }
th.sort { cursor: pointer; }
th.check { font-weight: normal; padding: 0.4em 0.2em; }
th.check span { writing-mode: vertical-rl; transform: rotate(180deg); max-height: 13em; overflow: hidden; }
td.status { max-width: 24em; }
td.number { text-align: right; }
td.full { background: #dff3df; } td.none { background: #f9dddd; }"""
SCRIPT = """for (const head of document.querySelectorAll("th.sort")) head.onclick = () => {
  const body = head.closest("table").tBodies[0], place = head.cellIndex;
  const sign = head.dataset.sign = -(head.dataset.sign || -1);
  const key = row => row.cells[place].textContent;
  [...body.rows].sort((a, b) => sign * key(a).localeCompare(key(b), undefined, { numeric: true }))
    .forEach(row => body.append(row));
};"""


@dataclass(frozen=True)
class Row:
    """One submission in the table."""

    found: Found
    grade: Grade | None
    status: str

    @property
    def assignment(self) -> str:
        """The name of its assignment, if it is known."""
        return self.found.sheet.assignment.name if self.found.sheet else ""

    @property
    def file(self) -> str:
        """The name of its file, if there is one."""
        return self.found.submission.path.name if self.found.submission else ""

    @property
    def points_by_hand(self) -> float:
        """The points of its assignment that are missing in the grade."""
        return self.found.sheet.points_by_hand if self.found.sheet else 0

    def checks(self) -> dict[str, tuple[float, float]]:
        """Points earned and points of each check."""
        graded = self.grade.blanks if self.grade else ()
        return {f"{g.blank.name}: {r.title}": (r.earned, r.points) for g in graded for r in g.results}


def write_tables(rows: list[Row], folder: Path, seed: int) -> None:
    """Write grades.csv, grades.html and feedback/."""
    (folder / "feedback").mkdir(parents=True, exist_ok=True)
    with open(folder / "grades.csv", "w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows(make_lines(rows))
    (folder / "grades.html").write_text(make_page(rows, seed), encoding="utf-8")
    for student in dict.fromkeys(row.found.student for row in rows):
        texts = [describe(row) for row in rows if row.found.student == student]
        (folder / "feedback" / f"{student}.txt").write_text("\n\n".join(texts) + "\n", encoding="utf-8")


def list_checks(rows: list[Row]) -> list[str]:
    """The checks of all rows, in the order of the sheets."""
    return list(dict.fromkeys(name for row in rows for name in row.checks()))


def list_by_hand(rows: list[Row]) -> list[str]:
    """The columns that stay empty for points by hand."""
    points = dict.fromkeys(row.points_by_hand for row in rows if row.points_by_hand)
    return [f"by hand, of {number:g}" for number in points]


def make_lines(rows: list[Row]) -> list[list[str]]:
    """The lines of grades.csv; no text is taken for a formula by a spreadsheet."""
    checks, by_hand = list_checks(rows), list_by_hand(rows)
    lines = [["student", "assignment", "file", "status", "points", "of", *by_hand, *checks]]
    for row in rows:
        earned = row.checks()
        total = [f"{row.grade.earned:g}", f"{row.grade.points:g}"] if row.grade else ["", ""]
        total += [""] * len(by_hand)
        texts = [row.found.student, row.assignment, row.file, row.status]
        numbers = [f"{earned[name][0]:g}" if name in earned else "" for name in checks]
        lines.append(
            [f"'{text}" if text.startswith(FORMULA_STARTS) else text for text in texts] + total + numbers
        )
    return lines


def make_page(rows: list[Row], seed: int) -> str:
    """The page grades.html: a table for each assignment; it loads nothing from elsewhere."""
    tables = []
    for name in sorted({row.assignment for row in rows}):
        chosen = [row for row in rows if row.assignment == name]
        tables.append(f"<h2>{html.escape(name or 'not graded')}</h2>\n{make_table(chosen)}")
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8"><title>Grades</title>'
        f"<style>{STYLE}</style></head>\n<body><h1>Grades</h1>\n"
        f"<p>Inputs of the seed {seed}. A click on the head of a column sorts by it.</p>\n"
        + "\n".join(tables)
        + f"\n<script>{SCRIPT}</script></body></html>\n"
    )


def make_table(rows: list[Row]) -> str:
    """One table of HTML."""
    checks, by_hand = list_checks(rows), list_by_hand(rows)
    lines = [f"<table><thead>{make_head(checks, by_hand)}</thead><tbody>"]
    for row in rows:
        cells = [f"<td>{html.escape(text)}</td>" for text in (row.found.student, row.file)]
        cells.append(f'<td class="status">{html.escape(row.status)}</td>')
        total = (row.grade.earned, row.grade.points) if row.grade else ("", "")
        cells += [f'<td class="number">{make_number(value)}</td>' for value in total]
        cells += ["<td></td>"] * len(by_hand)
        earned = row.checks()
        cells += [make_cell(*earned[name]) if name in earned else "<td></td>" for name in checks]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return "\n".join([*lines, "</tbody></table>"])


def make_head(checks: list[str], by_hand: list[str]) -> str:
    """Two rows: the blanks, and under them their checks; a click on one of the second row sorts."""
    titles = ["student", "file", "status", "points", "of", *by_hand]
    blanks = Counter(name.partition(": ")[0] for name in checks)
    first = "".join(f'<th colspan="{count}">{html.escape(name)}</th>' for name, count in blanks.items())
    second = "".join(f'<th class="sort">{title}</th>' for title in titles)
    for name in checks:
        title = html.escape(name.partition(": ")[2])
        second += f'<th class="sort check" title="{title}"><span>{title}</span></th>'
    return f'<tr><th colspan="{len(titles)}"></th>{first}</tr><tr>{second}</tr>'


def make_cell(earned: float, points: float) -> str:
    """The points of one check."""
    return f'<td class="number {"full" if earned == points else "none"}">{make_number(earned)}</td>'


def make_number(value: float | str) -> str:
    """A number of points as text."""
    return value if isinstance(value, str) else f"{value:g}"


def describe(row: Row) -> str:
    """What a student is told about one submission."""
    if row.grade is None:
        return f"{row.assignment or 'No assignment'}: {row.status}"
    lines = [f"{row.grade.sheet.assignment.title}: {row.grade.earned:g} of {row.grade.points:g} points"]
    if row.points_by_hand:
        lines[0] += f"; {row.points_by_hand:g} more points are given by hand"
    lines += [row.file] + [row.status] * (row.status != "graded")
    for graded in row.grade.blanks:
        lines += ["", *graded.feedback]
    return "\n".join(lines)
