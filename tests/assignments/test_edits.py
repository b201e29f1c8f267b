"""Known mistakes as changes of a right solution's text, and single changes of it that nobody wrote down."""

import ast
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from assignments import checks
from assignments.checks import edits
from assignments.checks.a4_gradient_check import measure_slope
from assignments.checks.blanks import Assignment, Blank, Case, Check
from assignments.checks.edits import add_mistakes, compile_text, fill_in, make_mistake, read_text
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
    write_table(tmp_path, monkeypatch, '"gelu tanh" = []')
    with pytest.raises(ValueError, match="no blank with a text is called gelu or tanh"):
        add_mistakes(Assignment("tiny", "Tiny", ()), "tiny.toml")


def test_blanks_may_share_entries(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_table(tmp_path, monkeypatch, '"one two" = [["np.exp", "np.exp2", "Powers of 2."]]')
    one, two = (checks.Blank(name, softmax, lambda random: [], (), "", text=TEXT) for name in ("one", "two"))
    blanks = add_mistakes(Assignment("tiny", "Tiny", (one, two)), "tiny.toml").blanks
    assert [mistake.cause for blank in blanks for mistake in blank.mistakes] == ["Powers of 2."] * 2


def write_table(folder: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    (folder / "mistakes").mkdir()
    (folder / "mistakes/tiny.toml").write_text(text, encoding="utf-8")
    monkeypatch.setattr(edits, "__file__", str(folder / "edits.py"))


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


def test_variations_leave_out_brackets_and_weigh_terms() -> None:
    source = "def f(x, y):\n    return (x + 1) * y"
    changed = [
        ast.unparse(tree).split("return ")[1] for tree, _ in list_variations(replace(TEXT, source=source))
    ]
    assert {"x + 1 * y", "x * y + 1", "(2 * x + 1) * y", "(x + 0.5 * 1) * y"} <= set(changed)


def test_variations_show_numbers_and_the_names_of_numpy() -> None:
    source = "def f(x):\n    return xp.maximum(x, LOWEST)"
    text = replace(TEXT, name="f", source=source, names={"LOWEST": 1e-10})
    words = [words for tree, words in list_variations(text) if compile_text(text, tree)]
    assert "The result is that of `np.maximum(x, 1e-08)` in place of `np.maximum(x, 1e-10)`." in words


def test_a_change_that_never_ends_is_given_up() -> None:
    def ours(x):
        while x.ndim > 1:
            x = x.sum(axis=0)
        return x

    def theirs(x):
        return x.sum(axis=0) * np.arange(7)

    case = Case({"x": np.random.default_rng(0).normal(size=(2, 7))}, ("any",))
    blank = Blank("ours", ours, lambda rng: [case], (Check("any", 1),), "", text=read_text(ours))
    call = checks.make_call(theirs, Assignment("tiny", "Tiny", (blank,)), blank)
    assert all(result.failure for result in checks.evaluate(blank, call))


def test_two_mistakes_with_answers_yes_and_no_are_told_apart() -> None:
    def check_gradients(function, arrays, gradients, rng, tolerance=1e-5):
        for _ in range(3):
            directions = [rng.normal(size=array.shape) for array in arrays]
            slope = measure_slope(function, arrays, directions, 1e-5)
            total = sum(np.vdot(g, v) for g, v in zip(gradients, directions, strict=True))
            if abs(slope - total) > 1e-5 * max(abs(slope), abs(total)):
                return False
        return True

    assignment, blank = checks.find_blank("check_gradients")
    results = checks.evaluate(blank, checks.make_call(check_gradients, assignment, blank))
    causes = {result.title: result.failure.cause for result in results if result.failure}
    assert causes.keys() == {"a gradient that is NaN", "a small error"}
    assert causes["a gradient that is NaN"].startswith("NaN is accepted")
    assert causes["a small error"] == "The argument `tolerance` is not used."
