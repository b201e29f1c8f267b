"""Every wrong solution loses points and hears why, and every right one gets full points."""

from collections import Counter

import pytest

from assignments import checks
from assignments.checks.evaluate import NO_CAUSE
from assignments.checks.feedback import describe_failure
from tests.assignments.mutants import MUTANTS, VARIANTS, Mutant, Variant, load_all
from tests.assignments.mutants.table import is_caught, is_named, run

load_all()
BLANKS = [
    blank.name
    for name in checks.list_names()
    for blank in checks.find_assignment(name).blanks
    if not blank.is_given
]


@pytest.mark.parametrize("entry", MUTANTS, ids=lambda entry: f"{entry.blank}-{entry.number}")
def test_a_wrong_solution_loses_points(entry: Mutant) -> None:
    results = run(entry)
    assert is_caught(results)
    blank = checks.find_blank(entry.blank)[1]
    assert not any(result.failure and result.failure.cause == NO_CAUSE for result in results)
    for result in results:
        lines = describe_failure(blank, result)
        assert len(lines) <= 8 and all(len(line) <= 110 for line in lines), "\n".join(lines)
        assert not any("Traceback" in line for line in lines)


@pytest.mark.parametrize("entry", VARIANTS, ids=lambda entry: f"{entry.blank}-{entry.number}")
def test_a_right_solution_gets_full_points(entry: Variant) -> None:
    blank = checks.find_blank(entry.blank)[1]
    lost = [line for result in run(entry) for line in describe_failure(blank, result)]
    assert not lost, "\n".join(lost)


@pytest.mark.parametrize("name", BLANKS)
def test_causes_are_named(name: str) -> None:
    mutants = [entry for entry in MUTANTS if entry.blank == name]
    named = [is_named(entry, run(entry)) for entry in mutants]
    assert sum(named) >= 0.8 * len(named)


def test_there_are_enough() -> None:
    mutants, variants = (Counter(entry.blank for entry in entries) for entries in (MUTANTS, VARIANTS))
    many = [name for name in BLANKS if "mask" in name or "attention" in name or "attend" in name]
    assert [name for name in BLANKS if mutants[name] < 6] == []
    assert [name for name in many if mutants[name] < 10] == []
    assert [name for name in BLANKS if variants[name] < 4] == []
    assert set(mutants) | set(variants) <= set(BLANKS)
