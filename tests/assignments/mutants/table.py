"""Prints a table: for each blank its points, mutants, those caught, those whose cause is named, and variants.

PYTHONPATH=notebooks python -m tests.assignments.mutants.table [a2] [-v]
"""

import sys
from functools import cache

from assignments import checks
from assignments.checks.evaluate import Result, evaluate
from tests.assignments.mutants import MUTANTS, VARIANTS, Mutant, Variant, load_all


@cache
def run(entry: Mutant | Variant) -> list[Result]:
    """The results of a solution, on values that are not those of the notebook."""
    assignment, blank = checks.find_blank(entry.blank)
    return evaluate(blank, checks.make_call(entry.function, assignment, blank), seed=1)


def is_caught(results: list[Result]) -> bool:
    """Whether any points are lost."""
    return any(result.earned < result.points for result in results)


def is_named(entry: Mutant, results: list[Result]) -> bool:
    """Whether the cause of a failed check has the word of the mutant."""
    words = (entry.cause_word,) if isinstance(entry.cause_word, str) else entry.cause_word
    causes = [result.failure.cause.lower() for result in results if result.failure]
    return any(word.lower() in cause for word in words for cause in causes)


def main() -> None:
    """Print the table, and with -v what mutants that are not named are told."""
    load_all()
    names = [name for name in sys.argv[1:] if not name.startswith("-")] or checks.list_names()
    blanks = [blank for name in names for blank in checks.find_assignment(name).blanks]
    print("| blank | points | mutants | caught | named | variants |\n|---|---|---|---|---|---|")
    for blank in blanks:
        mutants = [entry for entry in MUTANTS if entry.blank == blank.name]
        results = [run(entry) for entry in mutants]
        caught = sum(map(is_caught, results))
        named = [is_named(entry, result) for entry, result in zip(mutants, results, strict=True)]
        variants = [run(entry) for entry in VARIANTS if entry.blank == blank.name]
        right = sum(not is_caught(result) for result in variants)
        row = (
            blank.name,
            f"{blank.points:g}",
            len(mutants),
            caught,
            sum(named),
            f"{right} of {len(variants)}",
        )
        print("| " + " | ".join(map(str, row)) + " |", flush=True)
        if "-v" in sys.argv:
            for entry, result, has_name in zip(mutants, results, named, strict=True):
                causes = dict.fromkeys(item.failure.cause for item in result if item.failure)
                if not has_name:
                    print(f"    {entry.function.__code__.co_firstlineno}: {entry.cause_word!r}: {[*causes]}")


if __name__ == "__main__":
    main()
