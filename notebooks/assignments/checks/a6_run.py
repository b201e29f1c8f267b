"""The stored run of assignment 6: its files, and its score beside that of the baseline.

`python -m assignments.checks.a6_run`, in the folder `notebooks`, trains the baseline with three seeds and
writes `a6_baseline.json` beside this file.
"""

import json
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

import minitvlt as mt
from minitvlt.backends.fast.threads import on_one_core

from .a5_run import MOST_BYTES, is_like
from .a6_worlds import CONFIG, GROUPS, MODEL, RECIPE, RUN, draw_held_out

BASELINE = Path(__file__).with_name("a6_baseline.json")
METRICS = {  # the chance level of each, and whether more is better
    "recall": (1 / 16, True),
    "hidden video": (1.0, False),
    "hidden audio": (1.0, False),
}
NAMES = {
    "recall": "recall@1 of 16, audio to video",
    "hidden video": "relative error of hidden video",
    "hidden audio": "relative error of hidden audio",
}


def find_problem(folder: Path) -> str:
    """What is wrong with the files of a run; "" if nothing is."""
    for path in (folder / MODEL, folder / RUN):
        if not path.is_file():
            return (
                f"There is no file {path.name} beside the notebook: run the cell that trains and stores it."
            )
        if path.stat().st_size > MOST_BYTES:
            return f"{path.name} is far larger than a run of this assignment."
    try:
        metric, seed = read_run(folder)
    except (ValueError, KeyError, TypeError, RecursionError):
        return f"{RUN} is damaged: expected a metric, one of {', '.join(METRICS)}, and a seed."
    try:
        params = mt.load(folder / MODEL)
    except Exception:
        return f"{MODEL} is damaged, or was not written by mt.save: train and store again."
    mine, start = mt.flatten(params), mt.flatten(mt.init(CONFIG, seed))
    if is_like(params, mt.load("shapes-small"), 0.9):
        return f"{MODEL} holds the model that is installed with the package, not one of this training."
    if {name: x.shape for name, x in mine.items()} != {name: x.shape for name, x in start.items()}:
        return f"{MODEL} holds a model of other sizes than CONFIG: it cannot be compared with the baseline."
    if not is_like(params, mt.init(CONFIG, seed), 0.3):
        return f"{MODEL} does not come from a training that started at mt.init(CONFIG, seed={seed})."
    return ""


def read_run(folder: Path) -> tuple[str, int]:
    """Read which metric the extension is meant to improve, and the seed.

    Raises:
        ValueError: values that do not fit.
    """
    content = json.loads((folder / RUN).read_text("utf-8"))
    metric, seed = content["metric"], content["seed"]
    if metric not in METRICS or type(seed) is not int or not 0 <= seed < 2**31:
        raise ValueError
    return metric, seed


def describe_score(folder: Path, metric: str, value: float) -> str:
    """Say that a score is not what it has to be; "" if it is."""
    chance, is_more_better = METRICS[metric]
    baseline = json.loads(BASELINE.read_text("utf-8"))[metric]
    best, mean = max(baseline) if is_more_better else min(baseline), float(np.mean(baseline))
    is_aim = read_run(folder)[0] == metric
    bound = best if is_aim else chance + (mean - chance) / 4
    if value > bound if is_more_better else value < bound:
        return ""
    wanted = (
        "better than the best of three runs of the baseline"
        if is_aim
        else "better than a quarter of what it learns"
    )
    seeds = ", ".join(f"{x:.3f}" for x in baseline)
    return (
        f"{NAMES[metric]}: {value:.3f}. It has to be {wanted}, {'above' if is_more_better else 'below'} "
        f"{bound:.3f} (baseline: {seeds}; chance {chance:.3g})."
    )


# ---- the baseline


def measure(
    params: mt.Params, predict: Any = mt.autoencode, score: Any = mt.score_all_pairs
) -> dict[str, float]:
    """Compute the three metrics on held-out clips, by the functions of the package or of an extension."""
    from minitvlt.training.evaluation import sum_squared_errors
    from minitvlt.training.metrics import compute_ranks

    from .a6_worlds import erase_hidden

    errors, ranks = np.zeros((2, 2)), []
    for number in range(4):
        batch = draw_held_out(CONFIG, number, 32)
        video, audio = predict(params, erase_hidden(batch))
        rows = mt.patchify_video(batch.video, CONFIG.image_patch_size)
        errors[0] += sum_squared_errors(rows, video, batch.video_masking.is_hidden)
        rows = mt.patchify_audio(batch.audio, CONFIG.audio_patch_size)
        errors[1] += sum_squared_errors(rows, audio, batch.audio_masking.is_hidden)
    for number in range(GROUPS):
        ranks.append(compute_ranks(score(params, draw_held_out(CONFIG, number, 16))))
    relative = (errors[:, 0] / errors[:, 1]).tolist()
    recall = float(np.mean(np.concatenate(ranks) == 1))
    return dict(zip(METRICS, [recall, *relative], strict=True))


def train_baseline(seed: int) -> mt.Params:
    """Train as a run without an extension does."""
    from dataclasses import replace

    world, recipe = mt.ShapesWorld(CONFIG, max_count=1), replace(RECIPE, seed=seed)
    with on_one_core(), tempfile.TemporaryDirectory() as folder:
        return mt.train(mt.init(CONFIG, seed=seed), world, recipe, folder, show_progress=False)


def main() -> None:
    """Train the baseline with three seeds, and write its scores."""
    runs = [measure(train_baseline(seed)) for seed in range(3)]
    scores = {metric: [round(run[metric], 4) for run in runs] for metric in METRICS}
    BASELINE.write_text(json.dumps(scores, indent=1) + "\n", "utf-8")
    print(scores)


if __name__ == "__main__":
    main()
