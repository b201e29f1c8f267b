"""AdamW against PyTorch's, in place and by names; the learning rate; values that a recipe refuses."""

import math

import numpy as np
import pytest

from minitvlt.backends import flatten
from minitvlt.config import Config
from minitvlt.model.parameters import init
from minitvlt.training import optimizer
from minitvlt.training.optimizer import (
    AdamWState,
    Recipe,
    apply_adamw,
    compute_learning_rate,
    decays,
    start_adamw,
    update_adamw,
)
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import on_every_backend

RECIPE = Recipe(steps=20, warmup_steps=5, learning_rate=0.1, weight_decay=0.3, beta1=0.8, beta2=0.97)


@on_every_backend
def test_twenty_steps_equal_those_of_pytorch(backend):
    torch = pytest.importorskip("torch", reason="torch is the oracle")
    rng = np.random.default_rng(0)
    start = rng.standard_normal((2, 3))
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    adamw = torch.optim.AdamW([theirs], lr=1.0, betas=(0.8, 0.97), eps=1e-8, weight_decay=0.3)
    state = AdamWState(*(backend.move(x) for x in (start, 0 * start, 0 * start)))
    for step in range(RECIPE.steps):
        gradient = rng.standard_normal((2, 3))
        state = update_adamw(state, backend.move(gradient), step, RECIPE)
        adamw.param_groups[0]["lr"] = compute_learning_rate(step, RECIPE)
        theirs.grad = torch.from_numpy(gradient)
        adamw.step()
    backend.assert_close(state.parameters, theirs.detach().numpy())


def test_all_arrays_of_a_tree_are_updated_in_place_by_the_formula(monkeypatch):
    monkeypatch.setattr(optimizer, "SLICE", 7)
    params = {"linear": {"weight": np.ones((3, 5), np.float32)}, "norm": {"weight": np.ones(4, np.float32)}}
    state, rng = start_adamw(params), np.random.default_rng(0)
    arrays, expected = flatten(state), {}
    for name, array in flatten(params).items():
        expected[name] = AdamWState(array.copy(), np.zeros_like(array), np.zeros_like(array))
    for step in range(3):
        gradients = {part: {"weight": rng.standard_normal(x["weight"].shape)} for part, x in params.items()}
        apply_adamw(state, gradients, 0.5, step, RECIPE)
        for name, gradient in flatten(gradients).items():
            is_matrix = name == "linear.weight"
            expected[name] = update_adamw(expected[name], 0.5 * gradient, step, RECIPE, is_matrix)
    assert all(flatten(state)[name] is array for name, array in arrays.items())
    for name, wanted in expected.items():
        for part, value in vars(wanted).items():
            np.testing.assert_allclose(arrays[f"{part}.{name}"], value, rtol=1e-6)
    assert (flatten(params)["norm.weight"] == 1).all(), "the initial parameters are copied"


def test_weight_decay_applies_to_the_matrices_of_linear_maps():
    params = flatten(init(Config.tiny()))
    expected = {name for name in params if name.endswith("weight") and "norm" not in name}
    assert {name for name, array in params.items() if decays(name, array)} == expected
    assert "encoder.blocks.0.attention.qkv.weight" in expected
    assert not {"encoder.video_positions.time", "decoder.audio_mask_token"} & expected


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.05), (1, 0.1), (3, 0.2), (4, 0.2), (9, 0.1), (14, 0.0)], ids=str
)
def test_the_learning_rate_rises_linearly_and_falls_along_a_cosine(step, expected):
    recipe = Recipe(steps=14, warmup_steps=4, learning_rate=0.2)
    assert compute_learning_rate(step, recipe) == pytest.approx(expected)


def test_every_step_has_a_rate_without_warm_up_and_with_one_longer_than_the_run():
    assert compute_learning_rate(0, Recipe(warmup_steps=0, learning_rate=0.3)) == 0.3
    assert all(compute_learning_rate(step, Recipe(steps=5, warmup_steps=5)) > 0 for step in range(5))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"steps": 0}, "steps must be an integer of at least 1, not 0"),
        ({"batch_size": True}, "batch_size must be an integer"),
        ({"warmup_steps": -1}, "warmup_steps must be an integer of at least 0"),
        ({"weight_decay": -0.1}, "weight_decay must be a finite number of at least 0"),
        ({"learning_rate": math.inf}, "learning_rate must be a finite number above 0"),
        ({"beta1": 1.0}, "beta1 must be at least 0 and below 1"),
    ],
    ids=str,
)
def test_a_recipe_refuses_values_out_of_range(changes, expected):
    with annotations_unchecked(), pytest.raises(ValueError, match=expected):
        Recipe(**changes)
