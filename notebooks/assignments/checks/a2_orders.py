"""The wrong orders of axes in which clips are cut into patches, or laid back, each with what it means.

These are known mistakes as well, but too many to be written down: 719 ways to cut a video. Letters: B batch,
T frames, C channels, h w rows and columns of patches, s f steps and bands of patches of a spectrogram, p q
rows and columns of values in a patch.
"""

import itertools
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from .blanks import Assignment, Mistake

Array = np.ndarray
Patch = tuple[int, int]
VIDEO, AUDIO = ("TChpwq", "ThwpqC"), ("Cspfq", "sfpqC")  # axes after B of a clip that is split; of its tokens
BY_FRAME = "and should run frame by frame, row by row"
MEANINGS = {  # of the axes that count tokens
    "Thw": "",
    "Twh": "tokens run column by column in a frame, and should run row by row",
    "hTw": f"tokens run by rows of patches, then frames, then columns of patches, {BY_FRAME}",
    "wTh": f"tokens run by columns of patches, then frames, then rows of patches, {BY_FRAME}",
    "hwT": f"tokens run place by place, with frames fastest, {BY_FRAME}",
    "whT": f"tokens run place by place, with frames fastest, {BY_FRAME}",
    "sf": "",
    "fs": "tokens run band by band, with time fastest, and should run step by step, with frequency fastest",
}


def add_orders(assignment: Assignment) -> Assignment:
    """The assignment whose blanks that cut, or lay back, know the wrong orders after their other mistakes."""
    orders = {
        "patchify_video": list_cutting(*VIDEO),
        "unpatchify_video": list_laying_back(*VIDEO),
        "patchify_audio": list_cutting(*AUDIO),
        "unpatchify_audio": list_laying_back(*AUDIO),
    }
    blanks = (replace(b, mistakes=b.mistakes + orders.get(b.name, ())) for b in assignment.blanks)
    return replace(assignment, blanks=tuple(blanks))


def list_cutting(split: str, wanted: str) -> tuple[Mistake, ...]:
    """Axes of a clip that are transposed to other orders."""
    return tuple(
        Mistake(cut(split, order), f"The right values in the wrong order: {describe_order(order, wanted)}")
        for order in list_orders(wanted)
    )


def list_laying_back(split: str, wanted: str) -> tuple[Mistake, ...]:
    """Axes of tokens that are taken for others, or transposed to other orders."""
    taken = (
        Mistake(
            lay_back(order, split),
            f"The right values in the wrong order: tokens are read wrongly: {describe_order(order, wanted)}",
        )
        for order in list_orders(wanted)
    )
    h, w = split[-4], split[-2]
    transposed = (
        Mistake(
            lay_back(wanted, order),
            f"The transpose puts the axes in the order B, {', '.join(order)}; they should be "
            f"B, {', '.join(split)}, so that the reshape joins {h} with p, and {w} with q.",
        )
        for order in list_orders(split)
    )
    return *taken, *transposed


def list_orders(wanted: str) -> list[str]:
    """All orders of the axes but the right one, those with the fewest changes first."""
    orders = ["".join(order) for order in itertools.permutations(wanted)]
    orders.sort(key=lambda order: sum(a != b for a, b in zip(order, wanted, strict=True)))
    return orders[1:]


# ---- what is done


def cut(split: str, order: str) -> Callable[..., Array]:
    """Cut a clip, by its own name, with the axes in another order."""

    def patchify(patch: Patch, **clips: Array) -> Array:
        (clip,) = clips.values()
        sizes = measure(clip.shape[1], clip.shape[-3], clip.shape[-2:], patch)
        x = arrange(clip, sizes, split, order)
        return x.reshape(len(clip), -1, patch[0] * patch[1] * clip.shape[-3])

    return patchify


def lay_back(order: str, split: str) -> Callable[..., Array]:
    """Lay tokens back as if their axes had this order, and transpose them to the order `split`."""

    def unpatchify(tokens: Array, patch: Patch, size: tuple[int, ...]) -> Array:
        *frames, H, W = size
        C = tokens.shape[2] // (patch[0] * patch[1])
        x = arrange(tokens, measure(size[0], C, (H, W), patch), order, split)
        return x.reshape(len(tokens), *frames, C, H, W)

    return unpatchify


def measure(T: int, C: int, size: tuple[int, ...], patch: Patch) -> dict[str, int]:
    """The sizes of the axes after B by letter."""
    (H, W), (p, q) = size, patch
    return {"T": T, "C": C, "h": H // p, "s": H // p, "w": W // q, "f": W // q, "p": p, "q": q}


def arrange(x: Array, sizes: dict[str, int], before: str, after: str) -> Array:
    """Split into the axes `before`, and transpose them to the order `after`."""
    x = x.reshape(len(x), *(sizes[letter] for letter in before))
    return x.transpose(0, *(1 + before.index(letter) for letter in after))


# ---- what it means


def describe_order(order: str, wanted: str) -> str:
    """What is wrong with tokens whose axes have this order."""
    came, should = ", ".join(order), ", ".join(wanted)
    if order[:-3] not in MEANINGS:
        return (
            f"the axes of patches and of pixels are mixed. They run in the order B, {came}, and should run "
            f"B, {should}: first those that count patches."
        )
    parts = [part for part in (MEANINGS[order[:-3]], describe_inside(order[-3:])) if part]
    return f"{'; '.join(parts)}. The axes should run B, {should}; they run B, {came}."


def describe_inside(inside: str) -> str:
    """The order of the values in a token in words."""
    parts = []
    if inside.index("q") < inside.index("p"):
        parts.append("inside a token pixels run column by column, and should run row by row")
    if inside[0] == "C":
        parts.append("inside a token channels come first, and should come last (fastest)")
    elif inside[1] == "C":
        parts.append("inside a token channels lie between rows and columns of pixels, and should come last")
    return " and ".join(parts)
