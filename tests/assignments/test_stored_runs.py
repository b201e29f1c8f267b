"""The runs that assignments 5 and 6 store: judged from their files, and never worth points by a trick."""

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import minitvlt as mt
from assignments.checks import a5, a5_run, a6_run
from assignments.checks.a6_judges import judge_stored_model
from assignments.checks.a6_worlds import GROUPS

START = mt.init(a5_run.CONFIG, seed=3)
MADE_UP = np.linspace(6.0, 0.8, a5_run.RECIPE.steps).tolist()


def write_run(folder: Path, params=START, seed=3, losses=MADE_UP) -> Path:
    """Write the files of a run of assignment 5, by default of a model that was never trained."""
    mt.save(params, folder / a5_run.MODEL)
    (folder / a5_run.LOSSES).write_text(json.dumps({"seed": seed, "losses": losses}))
    return folder


def judge(folder: Path, part: str) -> str:
    return a5_run.judge_run({"folder": str(folder), "part": part}, None)


def judge_all(folder: Path) -> list[str]:
    return [judge(folder, part) for part in a5_run.PARTS]


def test_made_up_losses_of_an_untrained_model_are_worth_the_points_of_its_files(tmp_path):
    texts = judge_all(write_run(tmp_path))
    assert texts[0] == ""
    assert "does not belong to this run" in texts[1]
    assert all("it has to be" in text for text in texts[2:])


def test_losses_are_computed_again_at_both_ends(tmp_path):
    world, recipe = mt.ShapesWorld(a5_run.CONFIG, max_count=1), replace(a5_run.RECIPE, seed=3)
    ends = []
    for step in (0, recipe.steps - 1):
        rng = np.random.default_rng([3, step])
        batch = mt.make_batch(world.sample(rng, recipe.batch_size), a5_run.CONFIG, rng)
        ends.append(float(mt.pretraining_loss(START, batch).loss))
    losses = [ends[0], *MADE_UP[1:-1], ends[1]]
    assert judge(write_run(tmp_path, losses=losses), "losses") == ""
    flat = [ends[0], *[ends[0]] * (recipe.steps - 2), ends[1]]
    assert "hardly learnt" in judge(write_run(tmp_path, losses=flat), "losses")
    assert "first loss" in judge(write_run(tmp_path, losses=[0.9 * ends[0], *losses[1:]]), "losses")
    assert "last loss" in judge(write_run(tmp_path, losses=[*losses[:-1], 0.5]), "losses")


WRONG = {
    "no file": lambda folder: None,
    "installed with the package": lambda folder: write_run(folder, mt.load("shapes-small")),
    "other sizes": lambda folder: write_run(folder, mt.init(mt.Config.tiny(), seed=3)),
    "started at mt.init": lambda folder: write_run(folder, seed=4),
    "800 steps": lambda folder: write_run(folder, losses=MADE_UP[:-1]),
    "expected a seed": lambda folder: write_run(folder, seed="3"),
    "finite losses": lambda folder: write_run(folder, losses=[*MADE_UP[:-1], float("nan")]),
    "a list": lambda folder: write_run(folder, losses="6, 5, 4"),
    "expected a seed and": lambda folder: (write_run(folder) / a5_run.LOSSES).write_text("[" * 100_000),
    "is damaged": lambda folder: cut_file(write_run(folder) / a5_run.MODEL),
    "not written by mt.save": lambda folder: (write_run(folder) / a5_run.MODEL).write_bytes(b"\x80\x04N."),
    "far more than": lambda folder: os.truncate(write_run(folder) / a5_run.MODEL, 10**9),
}


def cut_file(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-1000])


@pytest.mark.parametrize("text", WRONG)
def test_a_missing_damaged_or_copied_run_gets_a_sentence_and_no_points(tmp_path, text):
    WRONG[text](tmp_path)
    texts = judge_all(tmp_path)
    assert all(texts) and len(set(texts)) == 1
    assert text in texts[0] or (text == "no points by nesting" and "damaged" in texts[0])
    assert "\n" not in texts[0] and len(texts[0]) < 250


def test_a_copy_of_the_packaged_model_with_noise_is_recognised(tmp_path):
    rng = np.random.default_rng(0)
    packaged = mt.load("shapes-small")
    noisy = mt.map_tree(lambda x: x + 0.05 * rng.normal(size=x.shape).astype(x.dtype), packaged)
    assert "installed with the package" in judge(write_run(tmp_path, noisy), "files")


def test_the_trained_model_of_the_references_loop_learns(tmp_path):
    """A short training: the judge sees that it is one, and that it is too short for the scores."""
    world, recipe = mt.ShapesWorld(a5_run.CONFIG, max_count=1), replace(a5_run.RECIPE, steps=30, seed=3)
    params, losses = a5.train(START, world, recipe)
    assert np.mean(losses[-5:]) < 0.6 * losses[0]
    assert judge(write_run(tmp_path, params), "files") == ""


# ---- assignment 6


def write_project(folder: Path, params=START, run='{"metric": "recall", "seed": 3}') -> Path:
    mt.save(params, folder / a6_run.MODEL)
    (folder / a6_run.RUN).write_text(run)
    return folder


def judge_scores(folder: Path, scores: list[np.ndarray]) -> str:
    return judge_stored_model({"folder": str(folder), "part": "recall"}, scores)


def test_the_chosen_metric_has_to_beat_the_baseline_and_others_a_part_of_it(tmp_path):
    rng = np.random.default_rng(0)
    best = [np.eye(16) for _ in range(GROUPS)]
    half = [rng.random((16, 16)) + 2 * np.diag(np.arange(16) < 3) for _ in range(GROUPS)]
    assert judge_scores(write_project(tmp_path), best) == ""
    assert "best of three runs" in judge_scores(tmp_path, half)
    write_project(tmp_path, run='{"metric": "hidden video", "seed": 3}')
    assert judge_scores(tmp_path, half) == ""
    assert "a quarter of what it learns" in judge_scores(
        tmp_path, [rng.random((16, 16)) for _ in range(GROUPS)]
    )


@pytest.mark.parametrize(
    "scores", [None, [], [None], [np.zeros((3, 3))], [np.full((16, 16), np.nan)], "many"]
)
def test_scores_of_another_form_are_worth_nothing(tmp_path, scores):
    assert judge_scores(write_project(tmp_path), scores)


def test_files_of_a_project_that_do_not_fit(tmp_path):
    assert "no file" in judge_scores(tmp_path, [])
    assert "damaged" in judge_scores(write_project(tmp_path, run='{"metric": "luck", "seed": 3}'), [])
    assert "started at" in judge_scores(write_project(tmp_path, run='{"metric": "recall", "seed": 9}'), [])
    assert "package" in judge_scores(write_project(tmp_path, mt.load("shapes-small")), [])
    assert "other sizes" in judge_scores(write_project(tmp_path, mt.init(mt.Config.tiny(), seed=3)), [])


def test_the_baseline_is_stored_for_three_seeds():
    baseline = json.loads(a6_run.BASELINE.read_text())
    assert baseline.keys() == a6_run.METRICS.keys()
    for name, values in baseline.items():
        chance, is_more_better = a6_run.METRICS[name]
        assert len(values) == 3 and all(
            value > chance if is_more_better else value < chance for value in values
        )
