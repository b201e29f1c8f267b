"""Judges the functions of assignment 6: what every extension has to fulfil, in words where it does not."""

from pathlib import Path
from typing import Any

import numpy as np

import minitvlt as mt
from minitvlt.training.evaluation import sum_squared_errors
from minitvlt.training.metrics import compute_ranks

from .a6_run import describe_score, find_problem
from .a6_worlds import CONFIG, GROUPS, SMALL, draw_held_out

CLOSE = 1e-6


def is_array(value: Any, shape: tuple[int, ...], kinds: str) -> bool:
    """Whether this is an array of such a shape and kind of numbers."""
    return isinstance(value, np.ndarray) and value.shape == shape and value.dtype.kind in kinds


def describe(value: Any) -> str:
    """A result in a few words."""
    if isinstance(value, np.ndarray):
        return f"an array of the shape {value.shape} and the type {value.dtype}"
    return f"a {type(value).__name__}" if value is not None else "None"


def is_list(value: Any, length: int) -> bool:
    """Whether this is a list of so many entries."""
    return isinstance(value, list) and len(value) == length


def is_number(value: Any) -> bool:
    """Whether this is one finite number."""
    is_plain = isinstance(value, (int, float)) or (isinstance(value, np.ndarray) and value.shape == ())
    return is_plain and bool(np.isfinite(value))


# ---- draw


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


# ---- compute_loss


def judge_loss(arguments: dict[str, Any], result: Any) -> str:
    """Check a loss."""
    if result["parameters changed"]:
        return "The parameters are changed in place: a loss only reads them."
    if "not recorded" in result:
        return (
            f"The loss can be computed, but not its gradient ({result['not recorded']:.70}). Take functions "
            f"from namespace(array), not from np, and convert nothing to float or NumPy on the way."
        )
    if "result" in result:
        found = result["result"]
        if isinstance(found, list) and len(found) == 2:
            return f"The loss has to be one number; got {describe(found[0])}. Sum it up."
        return f"Expected two results, the loss and a dictionary of numbers; got {describe(found)}."
    loss, numbers, part = result["loss"], result["numbers"], arguments["part"]
    if not is_number(loss):
        return f"The loss has to be one finite number; got {loss}."
    if not isinstance(numbers, dict) or not all(x is None or is_number(x) for x in numbers.values()):
        return "The second result has to be a dictionary of finite numbers, for the log."
    if part == "gradients" and not (np.isfinite(result["gradient norm"]) and result["gradient norm"] > 1e-9):
        return (
            f"The norm of the gradient is {result['gradient norm']:.3g}. Compute the loss from `params` with"
            f" functions of namespace(...), not of np, and convert nothing to float or NumPy on the way."
        )
    halved = result["with doubled counts"]
    if part == "counts" and not np.isclose(halved, np.asarray(loss) / 2, rtol=CLOSE):
        return (
            f"With all counts doubled the loss is {float(halved) / float(loss):.3g} times as large; it has "
            f"to be half: every term is a sum over the clips of the part, divided by counts.match, "
            f"counts.video or counts.audio. Then the parts of a batch add up."
        )
    if part == "padding" and not np.isclose(result["with other padding"], loss, rtol=CLOSE):
        return (
            f"The loss depends on what stands in the padding: {float(loss):.6g}, and with other values there"
            f" {float(result['with other padding']):.6g}. Hand the masks of video and audio on."
        )
    return ""


# ---- predict_hidden


def judge_prediction(arguments: dict[str, Any], result: Any) -> str:
    """Check predictions."""
    count, rows = arguments["count"], result["prediction"]
    shapes = list_shapes(SMALL, count)
    if text := find_fault_of_prediction(rows, shapes):
        return text
    for i, name in enumerate(shapes):
        if arguments["part"] == "leak" and not is_close(rows[i], result["with other hidden values"][i]):
            return (
                f"The prediction of {name} changes with the values of hidden patches, which the model must "
                f"not see. Encode the kept tokens alone."
            )
        if arguments["part"] == "alone" and not is_close(rows[i][:1], result["of the first clip alone"][i]):
            return f"The prediction of {name} for a clip depends on the other clips of the batch."
    return ""


def list_shapes(config: mt.Config, count: int) -> dict[str, tuple[int, int, int]]:
    """The shapes of predictions: clips, patches, values."""
    video = config.num_frames * int(np.prod(config.image_grid)), 3 * int(np.prod(config.image_patch_size))
    return {
        "video": (count, *video),
        "audio": (count, int(np.prod(config.audio_grid)), np.prod(config.audio_patch_size)),
    }


def find_fault_of_prediction(rows: Any, shapes: dict[str, tuple[int, int, int]]) -> str:
    """What is wrong with the form of predictions."""
    if not isinstance(rows, list) or len(rows) != 2:
        return f"Expected two arrays, the predictions of video and of audio, got {describe(rows)}."
    for row, (name, shape) in zip(rows, shapes.items(), strict=True):
        if not is_array(row, shape, "f"):
            return f"The prediction of {name} has to be of the shape {shape}; got {describe(row)}."
        if not np.isfinite(row).all():
            return f"The prediction of {name} is not finite."
    return ""


def is_close(a: Any, b: Any) -> bool:
    """Whether two arrays agree up to rounding."""
    return np.shape(a) == np.shape(b) and bool(np.allclose(a, b, rtol=1e-4, atol=1e-5))


def judge_stored_prediction(arguments: dict[str, Any], result: Any) -> str:
    """Measure the predictions of the stored model on held-out clips."""
    index, errors = ("hidden video", "hidden audio").index(arguments["part"]), np.zeros(2)
    for number, rows in enumerate(result if is_list(result, 4) else [None]):
        batch = draw_held_out(CONFIG, number, 32)
        if text := find_fault_of_prediction(rows, list_shapes(CONFIG, 32)):
            return text
        patches = (
            mt.patchify_video(batch.video, CONFIG.image_patch_size),
            mt.patchify_audio(batch.audio, CONFIG.audio_patch_size),
        )[index]
        masking = (batch.video_masking, batch.audio_masking)[index]
        errors += sum_squared_errors(patches, rows[index], masking.is_hidden)
    return describe_score(Path(arguments["folder"]), arguments["part"], errors[0] / errors[1])


# ---- score_pairs


def judge_scores(arguments: dict[str, Any], result: Any) -> str:
    """Check scores."""
    scores, count = result["scores"], arguments["count"]
    if not is_array(scores, (count, count), "f") or not np.isfinite(scores).all():
        return f"Expected {count} × {count} finite scores for {count} clips, got {describe(scores)}."
    if np.ptp(scores) < 1e-12:
        return "All scores are the same."
    if arguments["part"] == "order" and not is_close(
        result["with shifted videos"], np.roll(scores, 1, axis=1)
    ):
        if is_close(result["with shifted videos"], np.roll(scores, 1, axis=0)):
            return "Rows and columns are swapped: a row for each audio, a column for each video."
        return (
            "When the videos change places, the columns of the scores have to change places in the same way."
        )
    if arguments["part"] == "order" and not is_close(
        result["with shifted audio"], np.roll(scores, 1, axis=0)
    ):
        return "When the audio clips change places, the rows have to change places in the same way."
    if arguments["part"] == "alone" and not is_close(result["of the first two clips"], scores[:2, :2]):
        return (
            "The score of a pair depends on the other clips: leave out a softmax over rows, a mean over the"
            " batch and the like. Ranking does not need them."
        )
    return ""


def judge_stored_scores(arguments: dict[str, Any], result: Any) -> str:
    """Measure recall@1 of the stored model in groups of 16 held-out clips."""
    ranks = []
    for scores in result if is_list(result, GROUPS) else [None]:
        if not is_array(scores, (16, 16), "f") or not np.isfinite(scores).all():
            return f"Expected 16 × 16 finite scores of the stored model, got {describe(scores)}."
        ranks.append(compute_ranks(scores))
    return describe_score(Path(arguments["folder"]), "recall", float(np.mean(np.concatenate(ranks) == 1)))


# ---- the stored model


def judge_stored_model(arguments: dict[str, Any], result: Any) -> str:
    """Measure the stored model by what the student's functions made of it."""
    if text := find_problem(Path(arguments["folder"])):
        return text
    judge = judge_stored_scores if arguments["part"] == "recall" else judge_stored_prediction
    return judge(arguments, result)
