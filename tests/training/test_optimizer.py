"""AdamW against PyTorch's, the learning rate at its corners, clipping, one vector for all parameters."""

import math

import numpy as np
import pytest

from minitvlt.backends import flatten, map_tree
from minitvlt.config import Config
from minitvlt.model.parameters import init
from minitvlt.training.optimizer import (
    AdamWState,
    Recipe,
    compute_learning_rate,
    count_decaying,
    find_scale,
    from_vector,
    lay_out,
    slice_evenly,
    start_adamw,
    sum_squares,
    to_vector,
    update_adamw,
)
from tests.helpers.backends import on_every_backend

TINY = Config.tiny(num_hidden_layers=1, decoder_num_hidden_layers=1, hidden_size=8, decoder_hidden_size=8)


@on_every_backend
def test_twenty_steps_are_those_of_pytorchs_adamw(backend):
    torch = pytest.importorskip("torch", reason="torch is the oracle")
    rng = np.random.default_rng(0)
    recipe = Recipe(steps=20, warmup_steps=5, learning_rate=0.1, weight_decay=0.3, beta1=0.8, beta2=0.97)
    start = rng.standard_normal(7)
    theirs = torch.nn.Parameter(torch.from_numpy(start.copy()))
    adamw = torch.optim.AdamW([theirs], lr=1.0, betas=(0.8, 0.97), eps=1e-8, weight_decay=0.3)
    state = start_adamw((backend.move(start),))
    for step in range(recipe.steps):
        gradient = rng.standard_normal(7)
        state = update_adamw(state, backend.move(gradient), step, recipe)
        adamw.param_groups[0]["lr"] = compute_learning_rate(step, recipe)
        theirs.grad = torch.from_numpy(gradient)
        adamw.step()
    backend.assert_close(state.parameters, theirs.detach().numpy())


@pytest.mark.parametrize(("decays", "factor"), [(True, 1 - 0.1 * 0.5), (False, 1.0)])
def test_weight_decay_may_be_left_out(decays, factor):
    recipe = Recipe(steps=10, warmup_steps=0, learning_rate=0.1, weight_decay=0.5)
    state = AdamWState(np.array([2.0, -3.0]), np.zeros(2), np.zeros(2))
    moved = update_adamw(state, np.zeros(2), 0, recipe, decays)
    np.testing.assert_allclose(moved.parameters, np.array([2.0, -3.0]) * factor)


def test_a_step_changes_nothing_in_place():
    state = AdamWState(*(np.full(3, value) for value in (1.0, 0.5, 0.25)))
    gradient = np.ones(3)
    for array in (state.parameters, state.mean, state.square, gradient):
        array.setflags(write=False)
    update_adamw(state, gradient, 0, Recipe())


@pytest.mark.parametrize(
    ("step", "expected"), [(0, 0.05), (1, 0.1), (3, 0.2), (4, 0.2), (9, 0.1), (14, 0.0)], ids=str
)
def test_the_learning_rate_rises_linearly_and_falls_along_a_cosine(step, expected):
    recipe = Recipe(steps=14, warmup_steps=4, learning_rate=0.2)
    assert compute_learning_rate(step, recipe) == pytest.approx(expected)


def test_the_last_step_still_learns_and_no_warm_up_begins_at_the_top():
    assert compute_learning_rate(0, Recipe(warmup_steps=0, learning_rate=0.3)) == 0.3
    assert compute_learning_rate(99, Recipe(steps=100, warmup_steps=10)) > 0
    between = compute_learning_rate(6, Recipe(steps=12, warmup_steps=2, learning_rate=1.0))
    assert between == pytest.approx(0.5 * (1 + math.cos(math.pi * 0.4)))


@pytest.mark.parametrize("steps", [1, 5])
def test_a_run_shorter_than_its_warm_up_has_a_rate_for_every_step(steps):
    rates = [compute_learning_rate(step, Recipe(steps=steps, warmup_steps=5)) for step in range(steps)]
    assert all(0 < rate <= Recipe().learning_rate for rate in rates)


@on_every_backend
@pytest.mark.parametrize(("longest", "factor"), [(1.0, 0.2), (5.0, 1.0), (7.0, 1.0)])
def test_a_long_gradient_is_shortened(backend, longest, factor):
    squares = sum_squares(backend.move(np.array([3.0, 0.0, -4.0])))
    backend.assert_close(squares, np.array(25.0))
    backend.assert_close(find_scale(squares**0.5, longest), np.array(factor))


def test_a_gradient_of_zeros_is_not_stretched():
    assert find_scale(sum_squares(np.zeros(3)), 2.0) == 1.0


def test_squares_are_added_up_slice_by_slice_without_losing_the_small_ones():
    ones = np.ones(2**25 + 1, np.float32)
    assert sum_squares(ones) == np.float32(2**25 + 1)
    sizes = [piece.stop - piece.start for piece in slice_evenly(ones)]
    assert sum(sizes) == len(ones) and len(set(sizes[:-1])) == 1


@on_every_backend
def test_a_vector_holds_all_parameters_matrices_first_and_gives_them_back(backend):
    params = init(TINY, seed=3)
    vector = to_vector(backend.move(params))
    assert vector.shape == (sum(array.size for array in flatten(params).values()),)
    is_matrix = {name: name.endswith("weight") and "norm" not in name for name in flatten(params)}
    in_order = [
        flatten(params)[name] for kind in (True, False) for name in is_matrix if is_matrix[name] is kind
    ]
    backend.assert_close(vector, np.concatenate([array.reshape(-1) for array in in_order]))
    backend.assert_close(from_vector(vector, params), params)


def test_only_the_matrices_of_linear_maps_decay():
    params = init(TINY)
    count = count_decaying(params)
    decaying, sizes = [], np.cumsum([array.size for _, array in lay_out(params)])
    for (name, _), end in zip(lay_out(params), sizes, strict=True):
        decaying += [name] if end <= count else []
    assert count == sizes[len(decaying) - 1]
    assert set(decaying) == {
        name for name in flatten(params) if name.endswith("weight") and "norm" not in name
    }
    assert "encoder.blocks.0.attention.qkv.weight" in decaying
    assert not {"encoder.video_positions.time", "decoder.audio_mask_token"} & set(decaying)


def test_the_memory_begins_empty():
    state = start_adamw(map_tree(lambda x: x + 1, init(TINY)))
    assert state.parameters.any()
    assert not state.mean.any()
    assert not state.square.any()
    state.mean[0] = 1
    assert not state.square.any(), "two arrays: they are updated in place"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("steps", 0),
        ("batch_size", 0),
        ("micro_batches", 0),
        ("warmup_steps", -1),
        ("weight_decay", -0.1),
        ("seed", -1),
        ("learning_rate", 0.0),
        ("learning_rate", float("inf")),
        ("clip_norm", -1.0),
        ("beta1", 1.0),
        ("beta2", -0.1),
        ("learning_rate", float("nan")),
    ],
)
def test_a_recipe_that_cannot_be_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"{name} must be"):
        Recipe(**{name: value})


def test_more_parts_than_clips_are_refused():
    with pytest.raises(ValueError, match="micro_batches 5 is larger than batch_size 4"):
        Recipe(batch_size=4, micro_batches=5)
