"""Assignment 6: an extension as four functions, what each has to fulfil, and the score of its model."""

from dataclasses import replace
from typing import Any

import numpy as np

import minitvlt as mt
from minitvlt.model.pretraining import LossCounts, count_targets
from minitvlt.training.objectives import compute_pretraining

from .a6_batches import judge_batch
from .a6_judges import judge_loss, judge_prediction, judge_scores, judge_stored_model
from .a6_worlds import CONFIG, GROUPS, MODEL, SMALL, PaddedWorld, draw_held_out, draw_seed, erase_hidden
from .blanks import SUBMISSION_FOLDER, Assignment, Blank, Case, make_checks

# ---- the baseline, which is also the reference


def draw(world: Any, config: mt.Config, rng: np.random.Generator, count: int) -> mt.PretrainingBatch:
    """Draw a batch."""
    return mt.make_batch(world.sample(rng, count), config, rng)


def compute_loss(
    params: mt.Params, part: mt.PretrainingBatch, counts: LossCounts
) -> tuple[Any, dict[str, Any]]:
    """Compute loss and numbers of a part of a batch."""
    loss, numbers = compute_pretraining(params, part, counts)
    return loss, {name: numbers[name] for name in ("match_loss", "video_loss", "audio_loss")}


def predict_hidden(params: mt.Params, batch: mt.PretrainingBatch) -> tuple[np.ndarray, np.ndarray]:
    """Predict the patches of video and audio."""
    return mt.autoencode(params, batch)


def score_pairs(params: mt.Params, clips: Any) -> np.ndarray:
    """Score every audio with every video."""
    return mt.score_all_pairs(params, clips)


def stored_model(name: str) -> Any:
    """Return the function that uses the stored model."""
    return {"predict_hidden": predict_hidden, "score_pairs": score_pairs}[name]


# ---- calls, in the process of the student's code; a judge reads what they return


def call_draw(function: Any, arguments: dict[str, Any]) -> Any:
    """Draw with a seed, once more with the same, and with another one."""
    world = PaddedWorld(SMALL, arguments["padding"])
    seeds = {"batch": arguments["seed"], "again": arguments["seed"], "other": arguments["seed"] + 1}
    return {
        name: function(world, SMALL, np.random.default_rng(seed), arguments["count"])
        for name, seed in seeds.items()
    }


def make_part(arguments: dict[str, Any]) -> tuple[mt.Params, mt.PretrainingBatch]:
    """A small model and a batch, in float64."""
    seed = arguments["seed"]
    params = mt.to_backend(mt.init(SMALL, seed=seed), "numpy", dtype="float64")
    world = PaddedWorld(SMALL, arguments["padding"])
    batch = draw(world, SMALL, np.random.default_rng(seed), arguments["count"])
    return params, mt.to_backend(batch, "numpy", dtype="float64")


def call_loss(function: Any, arguments: dict[str, Any]) -> Any:
    """Compute the loss, its gradient, and the loss with changes that have a known effect."""
    params, batch = make_part(arguments)
    counts = count_targets(batch)
    doubled = LossCounts(2 * counts.match, 2 * counts.video, 2 * counts.audio)
    before = [array.copy() for array in mt.flatten(params).values()]
    result = function(params, batch, counts)
    after = mt.flatten(params).values()
    is_changed = any(not np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    if is_changed or not isinstance(result, tuple) or len(result) != 2 or np.shape(result[0]) != ():
        return {"result": result, "parameters changed": is_changed}
    try:
        (loss, numbers), gradients = mt.value_and_grad(function, has_aux=True)(params, batch, counts)
    except (TypeError, ValueError, AttributeError, NotImplementedError) as error:
        return {"not recorded": str(error), "parameters changed": False}
    squares = [float(np.sum(array**2)) for array in mt.flatten(gradients).values()]
    return {
        "loss": loss,
        "numbers": numbers,
        "gradient norm": float(np.sqrt(sum(squares))),
        "with doubled counts": function(params, batch, doubled)[0],
        "with other padding": function(params, change_padding(batch), counts)[0],
        "in float32": function(*mt.to_backend((params, batch), "numpy", dtype="float32"), counts)[0],
        "parameters changed": is_changed,
    }


def change_padding(batch: mt.PretrainingBatch) -> mt.PretrainingBatch:
    """Other values where there is padding."""
    if batch.audio_mask is None:
        return batch
    arrays = {}
    for name in ("video", "mixed_video"):
        array, p = getattr(batch, name), SMALL.image_patch_size
        rows, mask = mt.patchify_video(array, p), getattr(batch, f"{name}_mask")
        rows = np.where(mask[..., None], rows, 0.7)
        arrays[name] = mt.unpatchify_video(rows, p, (array.shape[1], *array.shape[3:]))
    rows = mt.patchify_audio(batch.audio, SMALL.audio_patch_size)
    rows = np.where(batch.audio_mask[..., None], rows, 0.7)
    arrays["audio"] = mt.unpatchify_audio(rows, SMALL.audio_patch_size, batch.audio.shape[2:])
    return replace(batch, **arrays)


def call_prediction(function: Any, arguments: dict[str, Any]) -> Any:
    """Predict with a small new model; what is hidden is erased."""
    params, batch = make_part(arguments)
    first = mt.map_tree(lambda array: array[:1], batch)
    return {
        "prediction": function(params, erase_hidden(batch)),
        "with other hidden values": function(params, erase_hidden(batch, 0.9)),
        "of the first clip alone": function(params, erase_hidden(first)),
    }


def call_scores(function: Any, arguments: dict[str, Any]) -> Any:
    """Score pairs with a small new model."""
    params, batch = make_part(arguments)
    shifted = replace(batch, video=np.roll(batch.video, 1, axis=0))
    fewer = mt.map_tree(lambda array: array[:2], batch)
    return {
        "scores": function(params, batch),
        "with shifted videos": function(params, shifted),
        "with shifted audio": function(params, replace(batch, audio=np.roll(batch.audio, 1, axis=0))),
        "of the first two clips": function(params, fewer),
        "with other padding": function(params, change_padding(batch)),
    }


def call_stored_model(function: Any, arguments: dict[str, Any]) -> Any:
    """Let the student's functions use the stored model on held-out clips, without what is hidden."""
    is_recall = arguments["part"] == "recall"
    answer = function("score_pairs" if is_recall else "predict_hidden")
    try:
        params = mt.load(f"{arguments['folder']}/{MODEL}")
    except Exception:
        return None  # the judge says what is wrong with the file
    if is_recall:
        return [answer(params, draw_held_out(CONFIG, number, 16)) for number in range(GROUPS)]
    return [answer(params, erase_hidden(draw_held_out(CONFIG, number, 32))) for number in range(4)]


# ---- cases


def make_batch_cases(rng: np.random.Generator) -> list[Case]:
    """Seeds and sizes of batches."""
    counts = {"one clip": 1, "several clips": 5}
    seed = draw_seed(rng)
    parts = [("shapes", tag, count, False) for tag, count in counts.items()]
    parts += [("masking", "what is kept and what is hidden", 5, False)]
    parts += [("masking", "padding", 16, True), ("randomness", "the generator decides everything", 3, False)]
    return [
        Case({"count": count, "padding": padding, "seed": seed, "part": part}, (tag,))
        for part, tag, count, padding in parts
    ]


def make_loss_cases(rng: np.random.Generator) -> list[Case]:
    """Parts of what a loss has to fulfil."""
    seed = draw_seed(rng)
    parts = {
        "one number, and a dictionary of numbers": ("form", 3, False),
        "gradients": ("gradients", 3, False),
        "sums that are divided by the counts": ("counts", 4, False),
        "padding": ("padding", 4, True),
    }
    return [
        Case({"count": count, "padding": padding, "seed": seed, "part": part}, (tag,))
        for tag, (part, count, padding) in parts.items()
    ]


def make_prediction_cases(rng: np.random.Generator) -> list[Case]:
    """Parts of what a prediction has to fulfil."""
    values = {"count": 3, "padding": False, "seed": draw_seed(rng)}
    parts = {
        "a row of values for each patch": "form",
        "hidden values have no influence": "leak",
        "each clip by itself": "alone",
    }
    return [Case({**values, "part": part}, (tag,)) for tag, part in parts.items()]


def make_score_cases(rng: np.random.Generator) -> list[Case]:
    """Parts of what scores have to fulfil."""
    values = {"count": 4, "seed": draw_seed(rng)}
    parts = [
        ("one score for each pair", "form", False),
        ("rows are audio, columns are video", "order", False),
        ("each pair by itself", "alone", False),
        ("each pair by itself", "padding", True),
    ]
    return [Case({**values, "padding": padding, "part": part}, (tag,)) for tag, part, padding in parts]


def make_stored_cases(rng: np.random.Generator) -> list[Case]:
    """One case for each metric."""
    return [
        Case({"part": part, "folder": SUBMISSION_FOLDER}, (f"{part} of the stored model",))
        for part in ("recall", "hidden video", "hidden audio")
    ]


def make_blank(
    name: str, reference: Any, cases: Any, call: Any, judge: Any, reread: str, points: Any
) -> Blank:
    """A blank without a single right result."""
    return Blank(
        name,
        reference,
        cases,
        make_checks(cases, points),
        reread,
        float32_points=0,
        memory_points=0,
        call=call,
        judge=judge,
        seconds=10,
    )


ASSIGNMENT = Assignment(
    name="a6_project",
    title="Project",
    blanks=(
        make_blank(
            "draw",
            draw,
            make_batch_cases,
            call_draw,
            judge_batch,
            "notebook 03, and the docstring of mt.make_batch",
            {"what is kept and what is hidden": 2},
        ),
        make_blank(
            "compute_loss",
            compute_loss,
            make_loss_cases,
            call_loss,
            judge_loss,
            "notebook 07, 'Matching' and 'Masked autoencoding'",
            {"sums that are divided by the counts": 2},
        ),
        make_blank(
            "predict_hidden",
            predict_hidden,
            make_prediction_cases,
            call_prediction,
            judge_prediction,
            "notebook 05, and section 3 of this assignment",
            {"hidden values have no influence": 2},
        ),
        make_blank(
            "score_pairs",
            score_pairs,
            make_score_cases,
            call_scores,
            judge_scores,
            "notebook 08, 'Retrieval', and section 3 of this assignment",
            {},
        ),
        replace(
            make_blank(
                "stored_model",
                stored_model,
                make_stored_cases,
                call_stored_model,
                judge_stored_model,
                "section 4 of this assignment",
                {f"{part} of the stored model": 4 for part in ("recall", "hidden video", "hidden audio")},
            ),
            seconds=30,
            is_given=True,
        ),
    ),
)
