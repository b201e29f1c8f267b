"""Assignment 2, patches and masks: blanks, inputs and points."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np

import minitvlt as mt
from minitvlt.model.masking import find_real_steps, list_tokens, repeat_steps

from .a2_orders import add_orders
from .blanks import Assignment, Blank, Case, Check
from .edits import add_mistakes, read_text

Array = np.ndarray
Sizes = tuple[int, ...]

# ---- patches

VIDEOS: list[tuple[str, Sizes, tuple[int, int]]] = [  # (B, T, C, H, W) and the patch
    ("the smallest input", (1, 1, 1, 4, 4), (2, 2)),
    ("the smallest input", (1, 1, 1, 9, 9), (3, 3)),
    ("a batch of 2", (2, 1, 1, 4, 4), (2, 2)),
    ("a batch of 2", (2, 1, 1, 6, 6), (3, 3)),
    ("several frames", (1, 2, 1, 4, 4), (2, 2)),
    ("several frames", (1, 5, 1, 6, 6), (3, 3)),
    ("several channels", (1, 1, 3, 4, 4), (2, 2)),
    ("several channels", (1, 1, 2, 6, 6), (3, 3)),
    ("frames that are not square", (1, 1, 1, 4, 6), (2, 2)),
    ("frames that are not square", (1, 1, 1, 15, 6), (3, 3)),
    ("patches that are not square", (1, 1, 1, 6, 6), (2, 3)),
    ("patches that are not square", (1, 1, 1, 10, 10), (5, 2)),
    ("all sizes different", (2, 5, 3, 14, 33), (7, 11)),
    ("all sizes different", (3, 2, 4, 15, 14), (3, 2)),
]
SPECTROGRAMS: list[tuple[str, Sizes, tuple[int, int]]] = [  # (B, C, S, F) and the patch
    ("the smallest input", (1, 1, 4, 4), (2, 2)),
    ("the smallest input", (1, 1, 9, 9), (3, 3)),
    ("a batch of 2", (2, 1, 4, 4), (2, 2)),
    ("a batch of 2", (3, 1, 6, 6), (3, 3)),
    ("several channels", (1, 2, 4, 4), (2, 2)),
    ("several channels", (1, 3, 6, 6), (3, 3)),
    ("more steps than mel bands", (1, 1, 10, 4), (2, 2)),
    ("more steps than mel bands", (1, 1, 15, 6), (3, 3)),
    ("patches that are not square", (1, 1, 6, 6), (2, 3)),
    ("patches that are not square", (1, 1, 10, 10), (5, 2)),
    ("all sizes different", (2, 3, 35, 22), (5, 11)),
    ("all sizes different", (5, 2, 14, 6), (7, 3)),
]


def make_cutting(name: str, table: list) -> Callable[[np.random.Generator], list[Case]]:
    """Cases of a function that cuts into patches."""

    def make_cases(random: np.random.Generator) -> list[Case]:
        return [
            Case({name: random.normal(size=sizes), "patch": patch}, (tag,)) for tag, sizes, patch in table
        ]

    return make_cases


def make_laying_back(table: list) -> Callable[[np.random.Generator], list[Case]]:
    """Cases of a function that lays patches back."""

    def make_case(random: np.random.Generator, tag: str, sizes: Sizes, patch: tuple[int, int]) -> Case:
        (B, *frames, C, H, W), (p, q) = sizes, patch  # frames: [T] of a video, [] of a spectrogram
        shape = (B, int(np.prod(frames)) * (H // p) * (W // q), p * q * C)
        return Case({"tokens": random.normal(size=shape), "patch": patch, "size": (*frames, H, W)}, (tag,))

    return lambda random: [make_case(random, *row) for row in table]


# ---- masks


def make_random_cases(random: np.random.Generator) -> list[Case]:
    """Noise, ratios and masks for `random_masking`."""

    def case(tag: str, shape: Sizes, ratio: float, mask: Array | None = None, scale: float = 1.0) -> Case:
        return Case({"noise": scale * random.random(shape), "ratio": ratio, "mask": mask}, (tag,))

    ends = np.arange(7) < np.array([[4], [7], [5]])
    holes = np.array([[1, 0, 1, 1, 0, 1, 1, 0], [0, 1, 1, 1, 1, 0, 0, 0]], bool)
    empty = np.arange(5) < np.array([[4], [0], [2]])
    ties = np.round(random.random((2, 61)), 1)
    return [
        case("the smallest input", (1, 6), 0.5),
        case("the smallest input", (1, 10), 0.4),
        case("a batch of 2", (2, 8), 0.5),
        case("a batch of 2", (2, 20), 0.75),
        case("a share of tokens that is no whole number", (1, 7), 0.3),
        case("a share of tokens that is no whole number", (1, 11), 0.75),
        case("N · (1 - ratio) slightly below a whole number", (1, 10), 0.9),
        case("N · (1 - ratio) slightly below a whole number", (1, 5), 0.8),
        case("a ratio of 0, or so large that nothing is kept", (1, 5), 0.0),
        case("a ratio of 0, or so large that nothing is kept", (1, 7), 0.95),
        Case({"noise": ties, "ratio": 0.5, "mask": None}, ("equal noise",)),
        case("padding at the end of some rows", (3, 7), 0.5, ends),
        case("padding at the end of some rows", (2, 5), 0.4, ends[:2, 2:]),
        case("padding between real tokens", (2, 8), 0.5, holes),
        case("a row of padding alone", (3, 5), 0.5, empty),
        case("noise beyond 1, and padding", (3, 7), 0.25, ends, 1e4),
    ]


def make_frame_cases(random: np.random.Generator) -> list[Case]:
    """Noise of steps for `frame_masking`."""

    def case(tag: str, shape: Sizes, ratio: float, tokens_per_step: int, counts: Any = None) -> Case:
        mask = counts
        if isinstance(counts, tuple):
            mask = np.arange(shape[1] * tokens_per_step) < np.array(counts)[:, None]
        arguments = {"noise": random.random(shape), "ratio": ratio, "tokens_per_step": tokens_per_step}
        return Case({**arguments, "mask": mask}, (tag,))

    holes = np.array([[0, 1, 1, 0, 0, 0, 1, 0, 1, 0, 0, 1], [1] * 5 + [0] * 7], bool)
    return [
        case("the smallest input", (1, 4), 0.5, 2),
        case("the smallest input", (1, 10), 0.4, 3),
        case("a batch of 2", (2, 6), 0.5, 2),
        case("a batch of 2", (3, 5), 0.6, 4),
        case("a share of steps that is no whole number", (1, 5), 0.5, 4),
        case("a share of steps that is no whole number", (1, 7), 0.3, 3),
        case("one token a step", (1, 6), 0.5, 1),
        case("padding of whole steps", (3, 7), 0.5, 3, (21, 12, 15)),
        case("padding of whole steps", (2, 5), 0.4, 2, (4, 10)),
        case("padding within a step", (2, 5), 0.4, 3, (15, 13)),
        case("padding within a step", (3, 6), 0.5, 4, (9, 23, 18)),
        case("padding within a step", (2, 4), 0.5, 3, holes),
        case("a row of padding alone", (2, 4), 0.5, 3, (12, 0)),
    ]


def make_span_cases(random: np.random.Generator) -> list[Case]:
    """Noise and speech for `span_masking`."""

    def case(tag: str, ratio: float, speech: list[list[int]], mask: Any = None, scale: float = 1.0) -> Case:
        is_speech = np.array(speech, bool)
        noise = scale * (random.random(is_speech.shape) - (scale > 1) / 2)
        mask = None if mask is None else np.array(mask, bool)
        return Case({"noise": noise, "ratio": ratio, "is_speech": is_speech, "mask": mask}, (tag,))

    A, B = [0, 1, 1, 0, 0, 1, 0, 1], [1, 1, 0, 0, 0, 0, 0, 1]
    return [
        case("the smallest input", 0.5, [[0, 1, 1, 0]]),
        case("the smallest input", 0.5, [A]),
        case("a batch of 2", 0.5, [A, A[::-1]]),
        case("more speech than is hidden", 0.5, [[1, 1, 0, 1, 1, 0, 1, 1, 1, 1]]),
        case("more speech than is hidden", 0.25, [A + A[::-1]]),
        case("less speech than is hidden", 0.5, [[0, 0, 1, 0, 0, 0, 0, 1, 0, 0]]),
        case("less speech than is hidden", 0.75, [B + B]),
        case("no speech, or nothing but speech", 0.5, [[0] * 6, [1] * 6]),
        case("noise beyond 1, some of it negative", 0.5, [A + B + A], scale=1e4),
        case("noise beyond 1, some of it negative", 0.25, [B + A], scale=30.0),
        case("padding in some rows", 0.5, [A, B], [[1] * 8, [1] * 5 + [0] * 3]),
        case("padding in some rows", 0.5, [B + A, A + B], [[1, 0] * 8, [0] + [1] * 15]),
    ]


def call_masking(function: Callable[..., Any], arguments: dict[str, Any]) -> Any:
    """Run a function that masks tokens; what does not matter in its result becomes -1."""
    mask, n = arguments.get("mask"), arguments.get("tokens_per_step", 1)
    real = None if mask is None else np.array(mask)  # the function may change its argument
    result = function(**arguments)
    if type(result) is not mt.Masking:
        return result
    try:
        return drop_irrelevant(result, real, n)
    except (TypeError, ValueError, IndexError):  # other shapes, or no arrays
        return result


def drop_irrelevant(masking: mt.Masking, mask: Array | None, tokens_per_step: int) -> mt.Masking:
    """Set to -1 what `keep` is filled up with, and the places of padding behind all that is real."""
    restore, B = masking.restore, len(masking.restore)
    if mask is not None:
        has_real = mask.reshape(B, -1, tokens_per_step).any(axis=2).repeat(tokens_per_step, axis=1)
        is_last = restore >= has_real.sum(axis=1, keepdims=True)
        restore = np.where(~has_real & is_last, -1, restore)
    keep = np.where(masking.keep_is_real, masking.keep, -1)
    if keep.shape != masking.keep.shape:
        return masking
    return replace(masking, keep=keep, restore=restore)


def random_masking(noise: Array, ratio: float, mask: Array | None = None) -> mt.Masking:
    """The package's function, also for whole numbers as noise."""
    noise = np.asarray(noise)
    return mt.random_masking(noise.astype(float) if noise.dtype.kind in "biu" else noise, ratio, mask)


ASSIGNMENT = Assignment(
    "a2_patches_and_masks",
    "Patches and masks",
    (
        Blank(
            "patchify_video",
            mt.patchify_video,
            make_cutting("video", VIDEOS),
            (
                Check("the smallest input", 2),
                Check("a batch of 2", 2),
                Check("several frames", 2),
                Check("several channels", 2),
                Check("frames that are not square", 1),
                Check("patches that are not square", 2),
                Check("all sizes different", 1),
            ),
            "notebook 02, 'Cutting a video'",
            text=read_text(mt.patchify_video),
        ),
        Blank(
            "unpatchify_video",
            mt.unpatchify_video,
            make_laying_back(VIDEOS),
            (
                Check("the smallest input", 2),
                Check("a batch of 2", 2),
                Check("several frames", 2),
                Check("several channels", 2),
                Check("frames that are not square", 1),
                Check("patches that are not square", 2),
                Check("all sizes different", 1),
            ),
            "notebook 02, 'Cutting a video'; its steps the other way round",
            text=read_text(mt.unpatchify_video),
        ),
        Blank(
            "patchify_audio",
            mt.patchify_audio,
            make_cutting("audio", SPECTROGRAMS),
            (
                Check("the smallest input", 2),
                Check("a batch of 2", 1),
                Check("several channels", 1),
                Check("more steps than mel bands", 1),
                Check("patches that are not square", 2),
                Check("all sizes different", 1),
            ),
            "notebook 02, 'Cutting a spectrogram'",
            text=read_text(mt.patchify_audio, mt.patchify_video),
        ),
        Blank(
            "unpatchify_audio",
            mt.unpatchify_audio,
            make_laying_back(SPECTROGRAMS),
            (
                Check("the smallest input", 2),
                Check("a batch of 2", 1),
                Check("several channels", 1),
                Check("more steps than mel bands", 1),
                Check("patches that are not square", 2),
                Check("all sizes different", 1),
            ),
            "notebook 02, 'Cutting a spectrogram'; its steps the other way round",
            text=read_text(mt.unpatchify_audio, mt.unpatchify_video),
        ),
        Blank(
            "random_masking",
            random_masking,
            make_random_cases,
            (
                Check("the smallest input", 4),
                Check("a batch of 2", 2),
                Check("a share of tokens that is no whole number", 2),
                Check("N · (1 - ratio) slightly below a whole number", 2),
                Check("a ratio of 0, or so large that nothing is kept", 2),
                Check("equal noise", 1),
                Check("padding at the end of some rows", 3),
                Check("padding between real tokens", 2),
                Check("a row of padding alone", 2),
                Check("noise beyond 1, and padding", 2),
            ),
            "notebook 03, 'Random masking' and 'Padding'",
            text=read_text(mt.random_masking),
            call=call_masking,
        ),
        Blank(
            "frame_masking",
            mt.frame_masking,
            make_frame_cases,
            (
                Check("the smallest input", 3),
                Check("a batch of 2", 1),
                Check("a share of steps that is no whole number", 2),
                Check("one token a step", 1),
                Check("padding of whole steps", 2),
                Check("padding within a step", 2),
                Check("a row of padding alone", 1),
            ),
            "notebook 03, 'Three kinds of audio masks'",
            text=read_text(mt.frame_masking, find_real_steps, repeat_steps, list_tokens),
            call=call_masking,
        ),
        Blank(
            "span_masking",
            mt.span_masking,
            make_span_cases,
            (
                Check("the smallest input", 3),
                Check("a batch of 2", 1),
                Check("more speech than is hidden", 2),
                Check("less speech than is hidden", 2),
                Check("no speech, or nothing but speech", 1),
                Check("noise beyond 1, some of it negative", 1),
                Check("padding in some rows", 2),
            ),
            "notebook 03, 'Three kinds of audio masks'",
            text=read_text(mt.span_masking),
            call=call_masking,
        ),
    ),
)
ASSIGNMENT = add_orders(add_mistakes(ASSIGNMENT, "a2.toml"))
