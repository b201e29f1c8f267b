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
    if part == "gradients" and not np.isfinite(result["in float32"]):
        return (
            f"In float32, in which a training computes, the loss is {result['in float32']}: subtract the "
            f"maximum before an exponential, and take no logarithm of 0."
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
    if arguments["part"] == "form" and len(np.unique(scores)) <= scores.size / 2:
        return "Most scores are equal, so they put nothing in order: return numbers before any yes or no."
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
    if arguments["part"] == "padding" and not is_close(result["with other padding"], scores):
        return "The scores depend on what stands in the padding: hand the masks of video and audio on."
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
