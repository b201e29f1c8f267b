"""What the process with a student's code replies, and what its cells are called."""

from typing import Any

from .outcomes import Outcome, Problem
from .submissions import Cell
from .wire import WireError


def name_cell(cell: Cell) -> str:
    """What a cell is called in messages."""
    if cell.number:
        return f"your cell {cell.grade_id}" if cell.grade_id else f"your cell number {cell.number}"
    return f"the given cell {cell.grade_id}"


def read_outcome(reply: Any) -> Outcome:
    """The outcome in a reply; a reply of another form is a WireError."""
    try:
        problem = Problem(*map(str, reply["problem"])) if reply["problem"] else None
        return Outcome(reply["value"], problem, tuple(map(str, reply["changed"])))
    except (TypeError, KeyError) as error:
        raise WireError("no outcome") from error


def read_cell_problem(reply: Any) -> Problem:
    """What a cell's reply says went wrong."""
    try:
        message = str(reply["message"])[:300]
        return Problem("exception", f"{reply['type']!s:.80}: {message}", str(reply["line"])[:200])
    except (TypeError, KeyError) as error:
        raise WireError("no answer of a cell") from error
