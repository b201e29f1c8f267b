"""Judges the batches of assignment 6: their arrays, what is kept and hidden, and what decides it."""

from typing import Any

import numpy as np

from .a6_judges import describe, is_array
from .a6_worlds import SMALL


def judge_batch(arguments: dict[str, Any], result: Any) -> str:
    """Check a batch, or that the generator alone decides it."""
    batch, count = result["batch"], arguments["count"]
    if text := find_fault_of_form(batch, count):
        return text
    if arguments["part"] == "randomness":
        return find_fault_of_randomness(result)
    if arguments["part"] == "shapes":
        return ""
    if arguments["padding"] and (batch["video_mask"] is None or batch["audio_mask"] is None):
        return "The masks of the clips are lost, so padding would be taken for real: keep both masks."
    sizes = {
        "video": SMALL.num_frames * int(np.prod(SMALL.image_grid)),
        "audio": int(np.prod(SMALL.audio_grid)),
    }
    for name, N in sizes.items():
        mask = batch[f"{name}_mask"]
        is_real = np.ones((count, N), bool) if mask is None else mask
        if text := find_fault_of_masking(batch[f"{name}_masking"], is_real):
            return f"{name}_masking: {text}"
    hidden = [batch[f"{name}_masking"]["is_hidden"] for name in sizes]
    if not (hidden[0].any(axis=1) | hidden[1].any(axis=1)).all():
        return "In some clips nothing is hidden, so there is nothing to learn from them."
    return ""


def find_fault_of_form(batch: Any, count: int) -> str:
    """What is wrong with the arrays of a batch."""
    if not isinstance(batch, dict) or "video_masking" not in batch:
        return f"Expected a batch as mt.make_batch returns it, got {describe(batch)}."
    shapes = {
        "video": (count, SMALL.num_frames, 3, *SMALL.image_shape),
        "audio": (count, 1, SMALL.spectrogram_length, SMALL.frequency_length),
        "mixed_video": (count, SMALL.num_frames, 3, *SMALL.image_shape),
    }
    for name, shape in shapes.items():
        if not is_array(batch[name], shape, "f"):
            return f"`{name}` of {count} clips needs the shape {shape}; got {describe(batch[name])}."
        if batch[name].dtype != np.float32:
            return f"`{name}` has become {batch[name].dtype}: keep float32, which takes half the memory."
        if not np.isfinite(batch[name]).all() or np.abs(batch[name]).max() > 1.001:
            return f"`{name}` has values outside [-1, 1], or values that are not finite."
    if not is_array(batch["is_match"], (count,), "b"):
        return f"`is_match` has to be {count} booleans; got {describe(batch['is_match'])}."
    right = [np.array_equal(a, b) for a, b in zip(batch["video"], batch["mixed_video"], strict=True)]
    if batch["video_mask"] is None and any(
        m and not r for m, r in zip(batch["is_match"], right, strict=True)
    ):
        return (
            "`is_match` is True where `mixed_video` is another clip's video: keep what mt.make_batch mixed."
        )
    for name in ("video_masking", "audio_masking"):
        if not isinstance(batch[name], dict):
            return f"`{name}` has to be a Masking, got {describe(batch[name])}."
    return ""


def find_fault_of_randomness(result: dict[str, Any]) -> str:
    """Whether the generator alone decides a batch."""
    texts = {name: repr(list_bytes(result[name])) for name in ("batch", "again", "other")}
    if texts["batch"] != texts["again"]:
        return (
            "Two calls with generators of the same seed give different batches: draw all random numbers "
            "from `rng`, and keep no state between calls."
        )
    masks = [result[name]["video_masking"]["is_hidden"].tobytes() for name in ("batch", "other")]
    if result["batch"]["video"].tobytes() == result["other"]["video"].tobytes():
        return "Generators of different seeds give the same clips: hand `rng` on to `world.sample`."
    audio = [result[name]["audio_masking"]["is_hidden"].tobytes() for name in ("batch", "other")]
    if masks[0] == masks[1] and audio[0] == audio[1]:
        return "What is hidden is the same for generators of different seeds: draw it from `rng`."
    return ""


def list_bytes(tree: Any) -> Any:
    """The bytes of all arrays of a result."""
    if isinstance(tree, dict):
        return {name: list_bytes(value) for name, value in tree.items()}
    return tree.tobytes() if isinstance(tree, np.ndarray) else tree


def find_fault_of_masking(masking: Any, is_real: np.ndarray) -> str:
    """What is wrong with a Masking: see its docstring."""
    B, N = is_real.shape
    keep, restore, hidden, counts = (masking.get(x) for x in ("keep", "restore", "is_hidden", "keep_is_real"))
    if not is_array(hidden, (B, N), "b"):
        return f"is_hidden has to be booleans of the shape {(B, N)}; got {describe(hidden)}."
    if not is_array(restore, (B, N), "iu"):
        return f"restore has to be integers of the shape {(B, N)}; got {describe(restore)}."
    K = keep.shape[-1] if isinstance(keep, np.ndarray) and keep.ndim == 2 else -1
    if not is_array(keep, (B, K), "iu") or not is_array(counts, (B, K), "b"):
        return f"keep and keep_is_real have to be integers and booleans of one shape ({B}, K)."
    if keep.size and not (keep.min() >= 0 and keep.max() < N):
        return f"keep holds indices outside 0 … {N - 1}."
    for b in range(B):
        kept = keep[b][counts[b]]
        if len(set(kept.tolist())) < len(kept):
            return f"in row {b} a token is kept twice."
        if hidden[b][~is_real[b]].any():
            return f"in row {b} padding is hidden. Only real tokens can be filled in: is_hidden & mask."
        if not is_real[b][kept].all():
            return f"in row {b} padding is kept: hand the clips' mask on, or set keep_is_real to False there."
        if hidden[b][kept].any():
            return f"in row {b} a token is both kept and hidden: the model would see what it has to predict."
        if not (hidden[b] | ~is_real[b] | np.isin(np.arange(N), kept)).all():
            return f"in row {b} a token is neither kept nor hidden."
        if sorted(restore[b].tolist()) != list(range(N)):
            return f"row {b} of restore is no permutation of 0 … {N - 1}."
        places = restore[b][kept]
        if not ((places < K).all() and (keep[b][np.minimum(places, K - 1)] == kept).all()):
            return (
                f"in row {b} restore does not lead back: keep[restore[n]] has to be n for every kept token n."
            )
    return ""
