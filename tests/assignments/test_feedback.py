"""Messages of checks that fail: short, with the input, both results and the cause."""

import re

import numpy as np
import pytest

from assignments import checks
from assignments.checks.blanks import Blank, Case, Check
from assignments.checks.feedback import describe_results, shorten
from tests.assignments.tiny import BLANK, explain, run


def subtract(x):
    return x - x.mean(axis=-1, keepdims=True)


# Wrong functions, none of which the blank knows, and what their message must say.
CAUSES = {
    "None": lambda x, scale=1.0: None,
    "opposite sign": lambda x, scale=1.0: -subtract(x) * scale,
    "too large by the factor 2": lambda x, scale=1.0: 2 * subtract(x) * scale,
    "too small by the factor the size of the last axis of `x`": lambda x, scale=1.0: (
        subtract(x) * scale / x.shape[1]
    ),
    "√(the size of the last axis of `x`)": lambda x, scale=1.0: subtract(x) * scale * x.shape[1] ** 0.5,
    "too large by the constant 0.5": lambda x, scale=1.0: subtract(x) * scale + 0.5,
    "reversed order along its last axis": lambda x, scale=1.0: subtract(x)[:, ::-1] * scale,
    "one place too late along its last axis": lambda x, scale=1.0: np.roll(subtract(x), 1, axis=1) * scale,
    "comes back as it was": lambda x, scale=1.0: x,
    "Every value is 0.0": lambda x, scale=1.0: np.zeros_like(x),
    "its square": lambda x, scale=1.0: (subtract(x) * scale) ** 2,
    "`scale` is ignored": lambda x, scale=1.0: subtract(x),
    "the square root of `scale`": lambda x, scale=1.0: subtract(x) * scale**0.5,
    "Only the first entry along the last axis is wrong": lambda x, scale=1.0: (
        np.concatenate([x[:, :1], subtract(x)[:, 1:]], axis=1) * np.where(np.arange(x.shape[1]) > 0, scale, 1)
    ),
    "offset, which differs from row to row": lambda x, scale=1.0: (x - x.max(axis=1, keepdims=True)) * scale,
    "infinity": lambda x, scale=1.0: subtract(x) * scale / np.zeros(1),
    "batch, is missing": lambda x, scale=1.0: subtract(x)[0] * scale,
    "the last two are exchanged": lambda x, scale=1.0: (subtract(x) * scale).T,
    "1 missing at the end of axis 1": lambda x, scale=1.0: (subtract(x) * scale)[:, :-1],
    "one axis of size 1 too many": lambda x, scale=1.0: (subtract(x) * scale)[:, :, None],
    "list: make an array": lambda x, scale=1.0: (subtract(x) * scale).tolist(),
    "entry 0 is the result": lambda x, scale=1.0: (subtract(x) * scale, 1),
    "dtype is float64": lambda x, scale=1.0: np.float64(scale) * subtract(x).astype(float),
    "keepdims": lambda x, scale=1.0: (x.repeat(2, 0) - x.repeat(2, 0).mean(axis=1)) * scale,
    "never assigned": lambda x, scale=1.0: undefined,
    "without calling it": lambda x, scale=1.0: subtract,
    "float32 somewhere": lambda x, scale=1.0: subtract(x.astype(np.float32)).astype(x.dtype) * scale,
    "the whole batch": lambda x, scale=1.0: (x - x.mean()) * scale,
    "Wrong only for inputs with a batch of 2": lambda x, scale=1.0: (
        subtract(x) * (scale + (len(x) > 1) * len(x[0]))
    ),
}


@pytest.mark.parametrize("cause", list(CAUSES))
def test_causes(cause: str) -> None:
    assert cause in explain(CAUSES[cause])


def test_a_message_has_input_both_results_cause_and_section() -> None:
    results = run(CAUSES["opposite sign"])
    text = describe_results(BLANK, results)
    assert text[0] == "centre: 0 of 6 points"
    assert text[1] == "✗ the smallest input (0 of 2)"
    assert text[2].startswith("  input:    x = float64 (1, 3) [[") and text[2].endswith("scale = 1.0")
    assert text[3].startswith("  came:     [0, 0:3] = ") and text[3].endswith("(3 of 3 values differ)")
    assert text[4].startswith("  expected: [0, 0:3] = ")
    assert text[6].startswith("  reread:   notebook 99")
    assert [line.endswith(": the same cause") for line in text[7:]] == [True] * 4


def test_what_is_right_is_one_line() -> None:
    def centre(x, scale=1.0):
        return subtract(x) * scale

    assert describe_results(BLANK, run(centre)) == ["✓ centre: 6 of 6 points: all 5 checks pass"]
    lines = describe_results(BLANK, run(CAUSES["`scale` is ignored"]))
    assert lines[0] == "centre: 5 of 6 points"
    assert [line[0] for line in lines if not line.startswith(" ")] == ["c", "✓", "✓", "✗", "✓", "✓"]


def test_an_exception_shows_its_line_and_no_traceback() -> None:
    def fail(x, scale=1.0):
        y = x.reshape(2, 17)
        return y

    text = explain(fail)
    assert "ValueError: cannot reshape array of size 3 into shape (2,17)" in text
    assert "in line: y = x.reshape(2, 17)" in text
    assert "do not multiply" in text


def test_numbers_and_masks_come_first_where_room_is_short() -> None:
    key = np.ones((2, 1, 7, 3))
    is_real = np.array([[True, False]])
    case = Case({"query": key, "key": key, "value": key, "is_real": is_real, "size": 2}, ("all",))
    blank = Blank("pool", lambda query, **_: query, lambda _: [case], (Check("all", 1),), "nowhere")
    text = explain(lambda query, key, value, is_real, size: -query, blank)
    assert "is_real = bool (1, 2) [[T F]], size = 2; float64: query (2, 1, 7, 3), key (2, 1, 7, 3)" in text


def test_numbers_have_as_many_digits_as_show_the_difference() -> None:
    text = explain(lambda x, scale=1.0: subtract(x) * scale * (1 + 1e-7 * np.sign(x)))
    came, expected = (re.search(rf"{word}: +\[0, 0:2\] = ([^ ]+)", text)[1] for word in ("came", "expected"))
    assert came != expected


def test_an_empty_list_has_a_cause() -> None:
    def keep(x):
        return {"output": x, "maps": [x]}

    blank = Blank("keep", keep, lambda _: [Case({"x": np.ones(3)}, ("all",))], (Check("all", 1),), "nowhere")
    assert "`maps` stays empty" in explain(lambda x: {"output": x, "maps": []}, blank)


def test_long_and_odd_texts_are_shortened() -> None:
    def fail(x, scale=1.0):
        raise ValueError("a\n\t\x1b[31m" + "long " * 1000)

    assert "\x1b" not in explain(fail)
    assert len(shorten("x" * 500)) == 110


def test_a_result_of_several_parts_names_the_wrong_one() -> None:
    def split(x):
        return x + 1, x * 2, x.sum()

    cases = [Case({"x": np.arange(3.0)}, ("numbers",)), Case({"x": np.arange(5.0) - 7}, ("numbers",))]
    blank = Blank("split", split, lambda _: cases, (Check("numbers", 1),), "nowhere")
    assert "result 2 of 3; the others are right" in explain(lambda x: (x + 1, x * 3, x.sum()), blank)
    assert "in another order: [2, 1, 3] instead of [1, 2, 3]" in explain(
        lambda x: (x * 2, x + 1, x.sum()), blank
    )
    assert "2 results came instead of 3" in explain(lambda x: (x + 1, x * 2), blank)
    assert "stacked in one array" not in explain(lambda x: np.zeros(3), blank)


def test_kinds_of_numbers() -> None:
    def count(x):
        return (x > 0).sum(axis=-1)

    cases = [Case({"x": np.array([[1.0, -1, 2]])}, ("numbers",)), Case({"x": -np.ones((2, 3))}, ("numbers",))]
    blank = Blank("count", count, lambda _: cases, (Check("numbers", 1),), "nowhere")
    assert "instead of whole numbers" in explain(lambda x: (x > 0).sum(axis=-1) * 1.0, blank)

    positive = Blank("positive", lambda x: x > 0, lambda _: cases, (Check("numbers", 1),), "nowhere")
    assert "instead of True and False" in explain(lambda x: (x > 0).astype(int), positive)
    assert "True and False are swapped" in explain(lambda x: x <= 0, positive)


def test_check_prints_and_returns_points(capsys: pytest.CaptureFixture[str]) -> None:
    def patchify_video(video, patch):
        return video

    assert checks.check(patchify_video) == 0
    assert "patchify_video: 0 of 14 points" in capsys.readouterr().out
    for odd in (None, 3, lambda video, patch: video, np.sum):
        assert checks.check(odd) == 0
        assert "No blank is called" in capsys.readouterr().out


def test_pictures_wait_for_their_functions(capsys: pytest.CaptureFixture[str]) -> None:
    def patchify_video(video, patch):
        raise NotImplementedError("write patchify_video")

    def patchify_audio(audio, patch):
        return audio

    assert not checks.are_written(patchify_video, patchify_audio)
    assert capsys.readouterr().out == "Write patchify_video first: the picture needs it.\n"
    assert checks.are_written(patchify_audio)


# ---- a blank with a mask: what shows only from several calls, or from the exponents


def weigh(scores, mask):
    """The reference: a softmax over the real entries of each row."""
    exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True)) * mask
    return exponentials / np.maximum(exponentials.sum(axis=-1, keepdims=True), 1e-300)


def make_weights(random: np.random.Generator) -> list[Case]:
    shapes, ends = [(1, 3), (1, 5), (2, 4), (3, 7)], [[3], [4], [4, 2], [7, 5, 3]]
    masks = [np.arange(shape[1]) < np.array(end)[:, None] for shape, end in zip(shapes, ends, strict=True)]
    return [
        Case({"scores": random.normal(size=s), "mask": m}, ("rows",))
        for s, m in zip(shapes, masks, strict=True)
    ]


WEIGHTS = Blank("weigh", weigh, make_weights, (Check("rows", 1),), "nowhere")
WEIGHT_CAUSES = {
    "exponents, or scores, are the right ones times ln 2": lambda scores, mask: weigh(
        scores * np.log(2), mask
    ),
    "times 1/√(the size of the last axis of `scores`)": lambda scores, mask: weigh(
        scores / scores.shape[-1] ** 0.5, mask
    ),
    "padding still has a weight": lambda scores, mask: weigh(scores - 3.0 * ~mask, np.ones_like(mask)),
    "`mask` is ignored: all entries are taken as True": lambda scores, mask: weigh(
        scores, np.ones_like(mask)
    ),
    "`mask` is taken the wrong way round": lambda scores, mask: weigh(scores, ~mask),
    "Two things at once": lambda scores, mask: weigh(-scores, ~mask),
    "normalised over the whole array": lambda scores, mask: (
        np.exp(scores) * mask / (np.exp(scores) * mask).sum()
    ),
    "Adding one number to all of `scores`": lambda scores, mask: weigh(np.abs(scores) ** 1.3, mask),
    "`mask` has no effect": lambda scores, mask: weigh(np.sin(3 * scores), np.ones_like(mask)) + 1e-3,
    "precision of float16": lambda scores, mask: weigh(scores, mask).astype(np.float16),
    "not along the last axis": lambda scores, mask: weigh(scores.T, mask.T).T,
}


@pytest.mark.parametrize("cause", list(WEIGHT_CAUSES))
def test_causes_of_weights(cause: str) -> None:
    assert cause in explain(WEIGHT_CAUSES[cause], WEIGHTS)


def test_variants_of_weights_are_right() -> None:
    def by_infinity(scores, mask):
        scores = np.where(mask, scores, -np.inf)
        exponentials = np.exp(scores - scores.max(axis=-1, keepdims=True))
        return exponentials / exponentials.sum(axis=-1, keepdims=True)

    assert explain(by_infinity, WEIGHTS) == ""
