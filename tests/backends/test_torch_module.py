"""Parameters as a torch module: the same names, the same numbers, and torch's own tools work on them."""

import copy
from dataclasses import replace

import numpy as np
import pytest

import minitvlt as mt
from minitvlt.backends import flatten, to_backend, value_and_grad
from minitvlt.model.pretraining import pretraining_loss
from tests.helpers.backends import assert_trees_close

torch = pytest.importorskip("torch")

CONFIG = mt.Config.tiny(hidden_size=12, intermediate_size=20, num_hidden_layers=3, num_attention_heads=2)


@pytest.fixture
def params() -> mt.Params:
    return mt.init(CONFIG, seed=3)


@pytest.fixture
def batch() -> mt.PretrainingBatch:
    clips = mt.ShapesWorld(CONFIG).sample(np.random.default_rng(0), 3)
    return mt.make_batch(clips, CONFIG, np.random.default_rng(1))


def draw_clips() -> tuple:
    clips = mt.ShapesWorld(CONFIG).sample(np.random.default_rng(0), 2)
    return to_backend((clips.video, clips.audio), "torch")


def compute_loss(params, batch):
    return pretraining_loss(params, batch).loss


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_module_has_the_names_of_the_tree_and_gives_it_back(params, library):
    module = mt.to_module(to_backend(params, library))
    assert {name for name, _ in module.named_parameters()} == flatten(params).keys()
    assert module.state_dict().keys() == flatten(params).keys()
    back = mt.from_module(module)
    assert back.config is params.config
    assert_trees_close(to_backend(back, "numpy"), params, rtol=0, atol=0)


def test_a_part_that_is_not_there_stays_away(params):
    alone = replace(params, decoder=None, matching=None)
    assert mt.from_module(mt.to_module(alone)).decoder is None


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_values_and_gradients_are_those_of_the_tree(params, batch, gradient_checkpointing):
    config = CONFIG.replace(gradient_checkpointing=gradient_checkpointing)
    params, batch = to_backend((replace(params, config=config), batch), "torch")
    value, gradients = value_and_grad(compute_loss)(params, batch)
    module = mt.to_module(params)
    loss = module(compute_loss, batch)
    loss.backward()
    torch.testing.assert_close(loss.detach(), value)
    theirs = flatten(gradients)
    for name, parameter in module.named_parameters():
        torch.testing.assert_close(parameter.grad, theirs[name], rtol=1e-4, atol=1e-6, msg=name)


def test_an_optimizer_moves_the_module_and_nothing_else(params, batch):
    params, batch = to_backend((params, batch), "torch")
    before = to_backend(params, "numpy", dtype="float64")  # a copy
    module = mt.to_module(params)
    taken = mt.from_module(module)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    first = module(compute_loss, batch)
    first.backward()
    optimizer.step()
    assert module(compute_loss, batch) < first
    for tree in (params, taken):
        assert_trees_close(to_backend(tree, "numpy", dtype="float64"), before, rtol=0, atol=0)


def test_each_part_of_the_tree_is_a_module_of_its_own(params):
    module = mt.to_module(params)
    block = module.get_submodule("encoder.blocks.1")
    assert {name for name, _ in block.named_parameters()} == flatten(params.encoder.blocks[1]).keys()
    assert_trees_close(to_backend(mt.from_module(block), "numpy"), params.encoder.blocks[1], rtol=0, atol=0)


def test_a_copy_of_a_module_stands_on_its_own(params):
    module = mt.to_module(params)
    other = copy.deepcopy(module)
    with torch.no_grad():
        for parameter in module.parameters():
            parameter.zero_()
    assert_trees_close(to_backend(mt.from_module(other), "numpy"), params, rtol=0, atol=0)
    assert other(mt.forward, *draw_clips()).cls.abs().sum() > 0


def test_a_module_of_another_origin_is_refused():
    with pytest.raises(ValueError, match=r"that to_module made, got Linear"):
        mt.from_module(torch.nn.Linear(2, 3))
