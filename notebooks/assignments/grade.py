"""Grade a folder of submissions, without JupyterHub.

    python notebooks/assignments/grade.py FOLDER --out RESULTS

FOLDER holds a folder for each student, or notebooks that are named after the students. Which assignment a
notebook is of is found by what is in it, whatever it is called. RESULTS gets grades.csv and grades.html,
with the points of each check, and feedback/STUDENT.txt. Each submission runs in a process of its own with
limits; what could not be graded is said in the table. A column for points that are given by hand stays empty.
"""

import argparse
import secrets
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from assignments.checks.child import Limits, describe_missing_limits
from assignments.checks.finding import Found, find_submissions
from assignments.checks.grading import grade_submission
from assignments.checks.submissions import Sheet, list_sheets
from assignments.checks.tables import Row, write_tables


def main(arguments: list[str] | None = None, sheets: list[Sheet] | None = None) -> int:
    """Grade what is in the folder; the status is 1 if something could not be graded."""
    parser = make_parser()
    chosen = parser.parse_args(arguments)
    wanted = chosen.assignment or ""
    sheets = [sheet for sheet in sheets or list_sheets() if sheet.assignment.name.startswith(wanted)]
    if not sheets or not chosen.folder.is_dir():
        parser.error(
            "there is no such assignment" if chosen.folder.is_dir() else f"no folder {chosen.folder}"
        )
    seed = secrets.randbelow(10**6) + 1 if chosen.seed is None else chosen.seed
    print(
        f"inputs of the seed {seed}", *[describe_missing_limits()] * bool(describe_missing_limits()), sep="\n"
    )
    rows = []
    for found in find_submissions(chosen.folder, sheets):
        started = time.monotonic()
        rows.append(grade(found, seed, Limits(total_seconds=chosen.seconds)))
        print(describe(rows[-1], time.monotonic() - started), flush=True)
        write_tables(rows, chosen.out, seed)  # after each: an interruption loses nothing
    print(f"{len(rows)} submissions: {chosen.out / 'grades.html'}")
    return 0 if all(row.grade for row in rows) else 1


def make_parser() -> argparse.ArgumentParser:
    """The options of the command."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("folder", type=Path, help="of the submissions")
    parser.add_argument("--out", type=Path, required=True, metavar="RESULTS", help="folder of the results")
    parser.add_argument(
        "--assignment", metavar="NAME", help="grade this one only, such as a2_patches_and_masks"
    )
    parser.add_argument("--seed", type=int, help="of the values in the inputs (default: drawn, and printed)")
    parser.add_argument(
        "--seconds", type=float, default=120, help="that one submission may take (default: 120)"
    )
    return parser


def grade(found: Found, seed: int, limits: Limits) -> Row:
    """Grade one submission; no fault in it ends the grading of the others."""
    if found.sheet is None or found.submission is None:
        return Row(found, None, f"not graded: {found.remark}")
    try:
        result = grade_submission(found.submission, found.sheet, seed, limits=limits)
    except Exception as error:
        return Row(found, None, f"not graded: the grader failed with {type(error).__name__}: {error}"[:300])
    remarks = [found.remark] * bool(found.remark) + list(result.remarks)
    return Row(found, result, "; ".join(remarks) or "graded")


def describe(row: Row, seconds: float) -> str:
    """One line about a submission."""
    points = f"{row.grade.earned:g} of {row.grade.points:g}" if row.grade else "-"
    return f"{row.found.student:<20} {row.assignment:<22} {points:>12} {seconds:6.1f} s  {row.status}"


if __name__ == "__main__":
    sys.exit(main())
