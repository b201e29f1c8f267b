"""Known mistakes as changes of a right solution's text, and single changes of it that nobody wrote down."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assignments import checks
from assignments.checks import edits
from assignments.checks.blanks import Assignment
from assignments.checks.edits import add_mistakes, fill_in, make_mistake, read_text
from assignments.checks.evaluate import run_reference
from assignments.checks.hypotheses import is_same_outcome
from assignments.checks.variations import list_variations
from minitvlt.backends.numpy_backend import layer_norm, softmax

BLANKS = [blank for name in checks.list_names() for blank in checks.find_assignment(name).blanks]
TEXT = read_text(softmax)
X = np.array([[1.0, 2.0, 4.0], [0.0, 3.0, 1.0]])


def test_a_text_has_no_docstring_and_no_decorator() -> None:
    assert TEXT.source.startswith("def softmax(") and '"""' not in TEXT.source


def test_a_mistake_is_the_changed_function() -> None:
    mistake = make_mistake(TEXT, "np.sum(y, axis=-1", "np.sum(y, axis=0", "The sum runs over\n  the rows.")
    np.testing.assert_allclose(mistake.function(X).sum(axis=0), 1)
    assert mistake.cause == "The sum runs over the rows."


def test_small_stands_for_several_numbers() -> None:
    entries = fill_in(["np.sum(y", "np.sum(y + SMALL", "SMALL is added."])
    assert len(entries) == 14 and entries[-1] == ["np.sum(y", "np.sum(y + 1e-16", "1e-16 is added."]
    assert ["1e-8", "1e-8", "…"] not in fill_in(["1e-8", "SMALL", "…"])


def test_parts_may_be_changed_as_well() -> None:
    def ours(x):
        return softmax(x)

    mistake = make_mistake(read_text(ours, softmax), "np.exp", "np.exp2", "Powers of 2.")
    np.testing.assert_allclose(mistake.function(X)[0], 2.0 ** (X[0] - 4) / (2.0 ** (X[0] - 4)).sum())


def test_what_does_not_stand_in_the_text_is_refused() -> None:
    with pytest.raises(ValueError, match="not all of"):
        make_mistake(TEXT, "np.cosh", "np.sinh", "…")


def test_mistakes_of_no_blank_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mistakes").mkdir()
    (tmp_path / "mistakes/tiny.toml").write_text("gelu = []\n", encoding="utf-8")
    monkeypatch.setattr(edits, "__file__", str(tmp_path / "edits.py"))
    with pytest.raises(ValueError, match="no blank with a text is called gelu"):
        add_mistakes(Assignment("tiny", "Tiny", ()), "tiny.toml")


@pytest.mark.parametrize("blank", [blank for blank in BLANKS if blank.mistakes], ids=lambda blank: blank.name)
def test_every_known_mistake_is_wrong_for_some_input(blank: checks.Blank) -> None:
    cases = blank.make_cases(np.random.default_rng(0))
    right = [run_reference(blank, blank.reference, case.arguments) for case in cases]

    def is_right(function: object) -> bool:
        outcomes = (run_reference(blank, function, case.arguments) for case in cases)
        return all(map(is_same_outcome, outcomes, right, [blank.tolerance] * len(cases)))

    assert [mistake.cause for mistake in blank.mistakes if is_right(mistake.function)] == []


def explain(function: object) -> str:
    """What is said where only changes of the text can explain a wrong `layer_norm`."""
    assignment, blank = checks.find_blank("layer_norm")
    blank = replace(blank, mistakes=(), text=read_text(layer_norm))
    results = checks.evaluate(blank, checks.make_call(function, assignment, blank))
    return next(result.failure.cause for result in results if result.failure)


def test_an_unknown_mistake_is_named_by_the_change_that_it_is() -> None:
    def layer_norm(x, weight, bias, eps):
        variance = x.var(axis=-1, keepdims=True)
        return (x - x.mean(axis=-1, keepdims=True)) / (variance + eps) * weight + bias

    assert "`variance + eps` in place of `np.sqrt(variance + eps)`" in explain(layer_norm)


SOURCE = """
def f(x: g[1]) -> h[2]:
    check_mask("x", x)
    if x < 5:
        raise ValueError("7")
    return x + 3
"""


def test_variations_leave_annotations_and_checks_alone() -> None:
    words = [words for _, words in list_variations(replace(TEXT, source=SOURCE))]
    assert words[0] == "The result is that of `return x` in place of `return x + 3`."
    assert all("`return x + 3`" in each for each in words)
