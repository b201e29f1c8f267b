"""What holds for all assignments: short solutions, the package's signatures, points that add up."""

import ast
import inspect
import re
from pathlib import Path

import numpy as np
import pytest

from assignments import checks
from assignments.checks.blanks import Blank
from assignments.checks.copies import find_originals, unwrap

FOLDER = Path(checks.__file__).parent.parent
MOST_LINES = 15
BLANKS = [
    pytest.param(name, blank, id=blank.name)
    for name in checks.list_names()
    for blank in checks.find_assignment(name).blanks
]


def read_function(name: str, blank: Blank) -> tuple[ast.FunctionDef, list[str]]:
    """The definition of a blank in the source of its assignment, and the lines of its solution."""
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    for node in ast.parse(source).body:
        if isinstance(node, ast.FunctionDef) and node.name == blank.name:
            lines = source.splitlines()[node.lineno - 1 : node.end_lineno + 1]
            inside = "\n".join(lines).partition("### BEGIN SOLUTION\n")[2].partition("### END SOLUTION")[0]
            if not inside:
                pytest.skip(f"{blank.name} is given: what it reads is graded")
            return node, inside.splitlines()
    raise AssertionError(f"{blank.name} is not in the source")


def test_names_are_unique() -> None:
    names = [blank.name for name in checks.list_names() for blank in checks.find_assignment(name).blanks]
    assert sorted(names) == sorted(set(names))
    for name in checks.list_names():
        assert checks.find_assignment(name).name == name


@pytest.mark.parametrize(("name", "blank"), BLANKS)
def test_a_solution_is_short(name: str, blank: Blank) -> None:
    code = [
        line for line in read_function(name, blank)[1] if line.strip() and not line.strip().startswith("#")
    ]
    assert 1 <= len(code) <= MOST_LINES, f"{blank.name} takes {len(code)} lines"


@pytest.mark.parametrize(("name", "blank"), BLANKS)
def test_signature_and_docstring_are_those_of_the_package(name: str, blank: Blank) -> None:
    node, _ = read_function(name, blank)
    originals = [unwrap(blank.reference), *find_originals(blank)]
    signatures = [list(inspect.signature(original).parameters.values()) for original in originals]
    arguments = [
        argument.arg for argument in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)
    ]
    assert arguments in [[parameter.name for parameter in signature] for signature in signatures]
    index = [[parameter.name for parameter in signature] for signature in signatures].index(arguments)
    defaults = [
        parameter.default for parameter in signatures[index] if parameter.default is not parameter.empty
    ]
    assert [ast.literal_eval(default) for default in node.args.defaults] == defaults
    documented = ast.get_docstring(node)
    assert documented, f"{blank.name} has no docstring"
    if is_of_package(blank.reference) and not blank.name.endswith("_vjp"):  # whose docstrings are the answers
        assert first_sentence(documented) == first_sentence(inspect.getdoc(blank.reference))


def first_sentence(text: str | None) -> str:
    return " ".join((text or "").split("\n\n")[0].split()).partition(". ")[0].rstrip(".")


def is_of_package(original: object) -> bool:
    return str(getattr(original, "__module__", "")).startswith("minitvlt.")


@pytest.mark.parametrize("name", checks.list_names())
def test_points_add_up(name: str) -> None:
    assignment = checks.find_assignment(name)
    source = (FOLDER / f"{name}.py").read_text(encoding="utf-8")
    cells = re.findall(r'"grade_id": "check_(\w+)".*?"points": ([\d.]+)', source)
    assert [(blank.name, blank.points) for blank in assignment.blanks] == [
        (cell, float(n)) for cell, n in cells
    ]
    said = re.search(r"\*\*Points:\*\*[\s#]+([\d.]+)", source)
    assert said and float(said[1].rstrip(".")) == sum(blank.points for blank in assignment.blanks)


@pytest.mark.parametrize(("name", "blank"), BLANKS)
def test_every_case_belongs_to_a_check(name: str, blank: Blank) -> None:
    cases = blank.make_cases(np.random.default_rng(0))
    tags = [check.tag for check in blank.checks]
    assert len(tags) == len(set(tags))
    assert {tag for case in cases for tag in case.tags} == set(tags)
    again = blank.make_cases(np.random.default_rng(1))
    assert [case.tags for case in cases] == [case.tags for case in again]


@pytest.mark.parametrize(("name", "blank"), BLANKS)
def test_known_mistakes_are_wrong_and_explained(name: str, blank: Blank) -> None:
    for mistake in blank.mistakes:
        assert len(mistake.cause) <= 420, mistake.cause
        assert mistake.cause.endswith((".", ")", "?")), mistake.cause
