"""Wrong ways to cut into patches and to lay them back, with what to say about each.

Letters: B batch, T frames, C channels, h w rows and columns of patches, p q rows and columns of pixels in a
patch. A spectrogram is a video of one frame whose rows are time steps.
"""

import itertools
from collections.abc import Callable

import numpy as np

from .blanks import Mistake

Array = np.ndarray
Patch = tuple[int, int]
SPLIT, WANTED = "TChpwq", "ThwpqC"  # the axes after B of a video that is split, and of its tokens
WORDS = {"T": "frames", "h": "rows of patches", "w": "columns of patches"}
AUDIO_WORDS = {"h": "time", "w": "frequency"}


def measure(video: Array, patch: Patch) -> dict[str, int]:
    """The sizes of all axes by letter."""
    (B, T, C, H, W), (p, q) = video.shape, patch
    return {"B": B, "T": T, "C": C, "h": H // p, "p": p, "w": W // q, "q": q}


def measure_tokens(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> dict[str, int]:
    """The sizes of all axes by letter, of tokens that fill a video."""
    (T, H, W), (p, q) = size, patch
    C = tokens.shape[2] // (p * q)
    return {"B": len(tokens), "T": T, "C": C, "h": H // p, "p": p, "w": W // q, "q": q}


def arrange(x: Array, sizes: dict[str, int], before: str, after: str) -> Array:
    """Split into the axes `before`, B first, and transpose them to the order `after`."""
    x = x.reshape(sizes["B"], *(sizes[letter] for letter in before))
    return x.transpose(0, *(1 + before.index(letter) for letter in after))


def cut(order: str, split: str = SPLIT) -> Callable[[Array, Patch], Array]:
    """Cut a video with the axes in another order."""

    def patchify(video: Array, patch: Patch) -> Array:
        s = measure(video, patch)
        x = arrange(video, s, split, order)
        return x.reshape(s["B"], s["T"] * s["h"] * s["w"], s["p"] * s["q"] * s["C"])

    return patchify


def lay_back(order: str, after: str = SPLIT) -> Callable[..., Array]:
    """Lay tokens back as if their axes had this order, or into another order `after`."""

    def unpatchify(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
        s = measure_tokens(tokens, patch, size)
        x = arrange(tokens, s, order, after)
        return x.reshape(s["B"], s["T"], s["C"], s["h"] * s["p"], s["w"] * s["q"])

    return unpatchify


# ---- what an order means


def describe_order(order: str, is_audio: bool = False) -> str:
    """What is wrong with tokens whose axes have this order instead of T, h, w, p, q, C."""
    tokens, inside = order[:3], order[3:]
    if set(tokens) != set("Thw"):
        return (
            "The right values in the wrong order: the axes of patches and of pixels are mixed. They run in "
            f"the order B, {spell(order, is_audio)}, and should run B, {spell(WANTED, is_audio)}: first "
            "those that count patches."
        )
    parts = []
    if [x for x in tokens if x != "T" or not is_audio] != [x for x in "Thw" if x != "T" or not is_audio]:
        parts.append(describe_tokens(tokens, is_audio))
    if inside != "pqC":
        parts.append(describe_inside(inside))
    wanted = f"The axes should run B, {spell(WANTED, is_audio)}; they run B, {spell(order, is_audio)}."
    return f"The right values in the wrong order: {'; '.join(parts)}. {wanted}"


def spell(order: str, is_audio: bool) -> str:
    """The letters of axes, with commas."""
    letters = order.replace("T", "").replace("h", "s").replace("w", "f") if is_audio else order
    return ", ".join(letters)


def describe_tokens(tokens: str, is_audio: bool) -> str:
    """The order of the tokens in words."""
    if is_audio:
        return (
            "tokens run band by band, with time fastest, and should run step by step, with frequency fastest"
        )
    if tokens == "Twh":
        return "tokens run column by column in a frame, and should run row by row"
    if tokens[-1] == "T":
        return "tokens run place by place, with frames fastest, and should run frame by frame"
    return (
        f"tokens run by {', then '.join(WORDS[x] for x in tokens)}, and should run frame by frame, row by row"
    )


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


def list_orders() -> list[str]:
    """All orders of the axes after B but the right one, those with the fewest changes first."""
    orders = ["".join(order) for order in itertools.permutations(WANTED)]
    orders.sort(key=lambda order: sum(a != b for a, b in zip(order, WANTED, strict=True)))
    return orders[1:]


# ---- single mistakes


def use_patch_reversed(video: Array, patch: Patch) -> Array:
    """(q, p) for (p, q)."""
    return cut(WANTED)(video, patch[::-1])


def use_square(video: Array, patch: Patch) -> Array:
    """p for both."""
    return cut(WANTED)(video, (patch[0], patch[0]))


def take_channels_last(video: Array, patch: Patch) -> Array:
    """(B, T, H, W, C) is taken for granted."""
    return cut(WANTED, split="ThpwqC")(video, patch)


def cut_strips(video: Array, patch: Patch) -> Array:
    """Rows are split, columns are not."""
    s = measure(video, patch)
    x = video.reshape(s["B"], s["T"], s["C"], s["h"], s["p"], -1).transpose(0, 1, 3, 4, 5, 2)
    return x.reshape(s["B"], s["T"] * s["h"] * s["w"], -1)


def cut_first_frame(video: Array, patch: Patch) -> Array:
    """Only frame 0."""
    return cut(WANTED)(video[:, :1], patch)


def cut_first_channel(video: Array, patch: Patch) -> Array:
    """Only channel 0."""
    return cut(WANTED)(video[:, :, :1], patch)


def keep_frames(video: Array, patch: Patch) -> Array:
    """(B, T, h*w, p*q*C): frames are not joined to tokens."""
    s = measure(video, patch)
    return cut(WANTED)(video, patch).reshape(s["B"], s["T"], s["h"] * s["w"], -1)


def join_batch(video: Array, patch: Patch) -> Array:
    """(1, B*T*h*w, p*q*C)."""
    x = cut(WANTED)(video, patch)
    return x.reshape(1, -1, x.shape[-1])


def keep_grid(video: Array, patch: Patch) -> Array:
    """(B, T, h, w, p, q, C): the last reshape is missing."""
    return arrange(video, measure(video, patch), SPLIT, WANTED)


def drop_batch(video: Array, patch: Patch) -> Array:
    """(N, values)."""
    return cut(WANTED)(video, patch)[0]


def put_tokens_last(video: Array, patch: Patch) -> Array:
    """(B, p*q*C, N)."""
    return cut(WANTED)(video, patch).swapaxes(1, 2)


def cut_places(tops: Callable, lefts: Callable) -> Callable[[Array, Patch], Array]:
    """Patches at other places: functions of a size and the size of the patch."""

    def patchify(video: Array, patch: Patch) -> Array:
        (B, T, _, H, W), (p, q) = video.shape, patch
        places = itertools.product(range(T), tops(H, p), lefts(W, q))
        rows = [
            video[:, t, :, i : i + p, j : j + q].transpose(0, 2, 3, 1).reshape(B, -1) for t, i, j in places
        ]
        return np.stack(rows, axis=1)

    return patchify


def step(size: int, part: int) -> range:
    """The places of patches."""
    return range(0, size, part)


def step_short(size: int, part: int) -> range:
    """Without the last one."""
    return range(0, size - part, part)


def step_by_one(size: int, part: int) -> range:
    """At every pixel."""
    return range(size - part + 1)


NOT_JOINED = (
    "The last reshape is missing: frames, rows and columns of patches are joined to one axis of tokens."
)
CUTTING: list[tuple[Callable, str]] = [
    (cut(SPLIT), "The right values in the wrong order: a reshape alone does not cut patches, because the "
     "rows of a patch do not follow one another in memory. Split first, transpose, then join."),
    (cut(WANTED, split="TCphqw"), "The right values in the wrong patches: H is split into (p, h) instead "
     "of (h, p), and W likewise. So a patch takes every h-th row instead of p rows in succession."),
    (cut(WANTED, split="TCphwq"), "The right values in the wrong patches: H is split into (p, h) instead "
     "of (h, p)."),
    (cut(WANTED, split="TChpqw"), "The right values in the wrong patches: W is split into (q, w) instead "
     "of (w, q)."),
    (use_patch_reversed, "`patch` is (rows, columns), (p, q); here it is used as (q, p). This is right "
     "only for square patches."),
    (use_square, "Patches are taken to be square: the first entry of `patch` is used for rows and for "
     "columns."),
    (take_channels_last, "The axes are taken for B, T, H, W, C, but channels come before rows and columns: "
     "B, T, C, H, W. A reshape does not move axes."),
    (cut_strips, "Only the rows are split into patches; columns have to be split as well: W into (w, q)."),
    (cut_first_frame, "Only the first frame is cut; all T frames give tokens."),
    (cut_first_channel, "Only the first channel is there; a token has the values of all channels."),
    (keep_frames, "The frames still have an axis of their own: join T, h and w to one axis of tokens."),
    (join_batch, "The batch was joined with the tokens: each clip of the batch keeps its own row."),
    (cut_places(step, step_short), "The last column of patches of every frame is missing: the range ends "
     "one patch too early."),
    (cut_places(step_short, step), "The last row of patches of every frame is missing: the range ends one "
     "patch too early."),
    (cut_places(step_short, step_short), "The last row and the last column of patches are missing: the "
     "ranges end one patch too early."),
    (cut_places(step_by_one, step_by_one), "Patches overlap: the next one begins one pixel further, and "
     "should begin p rows or q columns further."),
    (keep_grid, NOT_JOINED),
    (drop_batch, "The batch axis is missing: the result has the shape (B, N, values), also for a batch of "
     "1."),
    (put_tokens_last, "The last two axes are exchanged: tokens come first, the values of a token last."),
]  # fmt: skip


def lay_patch_reversed(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
    """(q, p) for (p, q)."""
    return lay_back(WANTED)(tokens, patch[::-1], size)


def lay_square(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
    """p for both."""
    return lay_back(WANTED)(tokens, (patch[0], patch[0]), size)


def lay_channels_last(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
    """(B, T, H, W, C)."""
    return lay_back(WANTED)(tokens, patch, size).transpose(0, 1, 3, 4, 2)


def lay_channels_before_frames(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
    """(B, C, T, H, W)."""
    return lay_back(WANTED)(tokens, patch, size).swapaxes(1, 2)


def lay_transposed(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
    """(B, T, C, W, H)."""
    return lay_back(WANTED)(tokens, patch, size).swapaxes(-1, -2)


def swap_size(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
    """(T, W, H) for (T, H, W)."""
    return lay_back(WANTED)(tokens, patch, (size[0], size[2], size[1]))


def lay_one_channel(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
    """C is taken to be 1."""
    (T, H, W), (p, q) = size, patch
    x = tokens.reshape(len(tokens), T, H // p, W // q, p, q, 1)
    return x.transpose(0, 1, 6, 2, 4, 3, 5).reshape(len(tokens), T, 1, H, W)


def lay_three_channels(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
    """C is taken to be 3."""
    (T, H, W), (p, q) = size, patch
    x = tokens.reshape(len(tokens), T, H // p, W // q, p, q, 3)
    return x.transpose(0, 1, 6, 2, 4, 3, 5).reshape(len(tokens), T, 3, H, W)


def reshape_alone(tokens: Array, patch: Patch, size: tuple[int, int, int]) -> Array:
    """No transpose."""
    (T, H, W), (p, q) = size, patch
    return tokens.reshape(len(tokens), T, tokens.shape[2] // (p * q), H, W)


LAYING_BACK: list[tuple[Callable, str]] = [
    (reshape_alone, "The right values in the wrong order: a reshape alone does not put patches back, "
     "because the rows of a patch do not follow one another in a frame. Split first, transpose, then join."),
    (lay_back(WANTED, after="TChwpq"), "The transpose leaves h, w, p, q in this order; h and p have to be "
     "neighbours (h, p, w, q) before they are joined to H, and w and q before they are joined to W."),
    (lay_back(WANTED, after="TCphqw"), "h and p are joined in the wrong order, (p, h) for (h, p), and w "
     "and q likewise: neighbouring rows of pixels then come from different patches."),
    (lay_back(WANTED, after="TCphwq"), "h and p are joined in the wrong order: (p, h) for (h, p)."),
    (lay_back(WANTED, after="TChpqw"), "w and q are joined in the wrong order: (q, w) for (w, q)."),
    (lay_patch_reversed, "`patch` is (rows, columns), (p, q); here it is used as (q, p). This is right "
     "only for square patches."),
    (lay_square, "Patches are taken to be square: the first entry of `patch` is used for rows and for "
     "columns."),
    (lay_channels_last, "Channels come last here; they belong before rows and columns: (B, T, C, H, W)."),
    (lay_channels_before_frames, "Channels and frames are exchanged: (B, T, C, H, W) is wanted, not (B, C, "
     "T, H, W)."),
    (lay_transposed, "Rows and columns of the result are exchanged: the frames are transposed."),
    (swap_size, "`size` ends with (H, W), rows first; here it is used as (W, H)."),
    (lay_one_channel, "The number of channels is taken to be 1; it is the number of values of a token, "
     "divided by p q."),
    (lay_three_channels, "The number of channels is taken to be 3; it is the number of values of a token, "
     "divided by p q."),
]  # fmt: skip


def describe_target(order: str) -> str:
    """What is wrong with a transpose of tokens to this order instead of T, C, h, p, w, q."""
    return (
        f"The transpose puts the axes in the order B, {spell(order, False)}; they should be B, "
        f"{spell(SPLIT, False)}, so that the reshape joins h with p to H, and w with q to W."
    )


def make_video_mistakes() -> tuple[tuple[Mistake, ...], tuple[Mistake, ...]]:
    """Mistakes of cutting and of laying back."""
    cutting = [Mistake(function, cause) for function, cause in CUTTING]
    laying = [Mistake(function, cause) for function, cause in LAYING_BACK]
    for order in list_orders():
        cause = describe_order(order)
        cutting.append(Mistake(cut(order), cause))
        laying.append(
            Mistake(
                lay_back(order), cause.replace("the wrong order", "the wrong order: tokens are read wrongly")
            )
        )
    for order in itertools.permutations(SPLIT):
        if "".join(order) != SPLIT:
            laying.append(Mistake(lay_back(WANTED, "".join(order)), describe_target("".join(order))))
    return tuple(cutting), tuple(laying)


# ---- audio: a video of one frame


def as_audio(function: Callable[..., Array]) -> Callable[..., Array]:
    """A wrong function of spectrograms from one of videos."""

    def patchify(audio: Array, patch: Patch) -> Array:
        return function(audio[:, None], patch)

    return patchify


def as_audio_back(function: Callable[..., Array]) -> Callable[..., Array]:
    """A wrong function to spectrograms from one to videos."""

    def unpatchify(tokens: Array, patch: Patch, size: tuple[int, int]) -> Array:
        return function(tokens, patch, (1, *size))[:, 0]

    return unpatchify


def forget_channel(tokens: Array, patch: Patch, size: tuple[int, int]) -> Array:
    """(B, S, F): the channel axis is lost."""
    return lay_back(WANTED)(tokens, patch, (1, *size))[:, 0, 0]


def keep_frame(tokens: Array, patch: Patch, size: tuple[int, int]) -> Array:
    """(B, 1, C, S, F): the axis of the frame is kept."""
    return lay_back(WANTED)(tokens, patch, (1, *size))


def take_channels_for_frames(audio: Array, patch: Patch) -> Array:
    """(B, C, 1, S, F): channels as frames."""
    return cut(WANTED)(audio[:, :, None], patch)


def give_frames_for_channels(tokens: Array, patch: Patch, size: tuple[int, int]) -> Array:
    """Channels are read as frames."""
    C = tokens.shape[2] // (patch[0] * patch[1])
    return lay_back(WANTED)(tokens.reshape(len(tokens), -1, patch[0] * patch[1]), patch, (C, *size))[:, :, 0]


def lay_audio_transposed(tokens: Array, patch: Patch, size: tuple[int, int]) -> Array:
    """(B, C, F, S)."""
    return lay_back(WANTED)(tokens, patch, (1, *size))[:, 0].swapaxes(-1, -2)


AUDIO = "time and frequency"
CUTTING_SOUND: list[tuple[Callable, str]] = [
    (take_channels_for_frames, "Channels are taken for frames: the new axis of one frame belongs before "
     "the channels, audio[:, None], so that channels stay inside the tokens."),
]  # fmt: skip
LAYING_SOUND: list[tuple[Callable, str]] = [
    (forget_channel, "The channel axis is missing: the result is (B, C, S, F), also for one channel."),
    (keep_frame, "The axis of the single frame is still there: take [:, 0] of a video of one frame."),
    (give_frames_for_channels, "Channels are taken for frames: channels lie inside the tokens, fastest of "
     "all."),
    (lay_audio_transposed, "Time and frequency of the result are exchanged: (B, C, S, F) is wanted."),
]  # fmt: skip


def make_audio_mistakes() -> tuple[tuple[Mistake, ...], tuple[Mistake, ...]]:
    """Mistakes of cutting and of laying back spectrograms."""
    sound = [("row by row", "step by step"), ("rows and columns", "steps and bands"), ("frame 0", "")]
    cutting = [Mistake(f, cause) for f, cause in CUTTING_SOUND]
    laying = [Mistake(f, cause) for f, cause in LAYING_SOUND]
    for function, cause in CUTTING:
        if function not in (cut_first_frame, keep_frames):
            cutting.append(Mistake(as_audio(function), reword(cause, sound)))
    for function, cause in LAYING_BACK:
        if function not in (lay_channels_before_frames, lay_transposed):
            laying.append(Mistake(as_audio_back(function), reword(cause, sound)))
    for order in list_orders():
        if order[0] == "T":
            cause = describe_order(order, is_audio=True)
            cutting.append(Mistake(as_audio(cut(order)), cause))
            read = cause.replace("the wrong order", "the wrong order: tokens are read wrongly")
            laying.append(Mistake(as_audio_back(lay_back(order)), read))
    for order in itertools.permutations(SPLIT[1:]):
        if "".join(order) != SPLIT[1:]:
            after = "T" + "".join(order)
            laying.append(Mistake(as_audio_back(lay_back(WANTED, after)), describe_target(after)))
    return tuple(cutting), tuple(laying)


def reword(text: str, words: list[tuple[str, str]]) -> str:
    """Words of spectrograms for those of frames."""
    for old, new in words:
        text = text.replace(old, new)
    return text


CUTTING_VIDEO, LAYING_BACK_VIDEO = make_video_mistakes()
CUTTING_AUDIO, LAYING_BACK_AUDIO = make_audio_mistakes()
