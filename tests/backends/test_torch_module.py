"""Parameters as a torch module: the same names, the same numbers, and torch's own tools work on them."""

import copy
from dataclasses import replace

import pytest
import torch

import minitvlt as mt
from minitvlt.backends import flatten, to_backend, value_and_grad
from tests.helpers.backends import assert_trees_close
from tests.helpers.models import make_small


def compute_loss(params, batch):
    return mt.pretraining_loss(params, batch).loss


@pytest.fixture
def params() -> mt.Params:
    return make_small()[0]


@pytest.mark.parametrize("library", ["numpy", "torch"])
def test_a_module_has_the_names_of_the_tree_and_gives_it_back(params, library):
    params = replace(params, decoder=None)  # a part that is missing stays so
    module = mt.to_module(to_backend(params, library))
    assert {name for name, _ in module.named_parameters()} == flatten(params).keys()
    assert module.state_dict().keys() == flatten(params).keys()
    back = mt.from_module(module)
    assert back.config is params.config and back.decoder is None
    assert_trees_close(to_backend(back, "numpy"), params, rtol=0)
    block = module.get_submodule("encoder.blocks.1")  # each part of the tree is a module
    assert_trees_close(to_backend(mt.from_module(block), "numpy"), params.encoder.blocks[1], rtol=0)


@pytest.mark.parametrize("gradient_checkpointing", [False, True])
def test_values_and_gradients_are_those_of_the_tree(gradient_checkpointing):
    params, batch = to_backend(make_small(2, gradient_checkpointing=gradient_checkpointing), "torch")
    value, gradients = value_and_grad(compute_loss)(params, batch)
    module = mt.to_module(params)
    loss = module(compute_loss, batch)
    loss.backward()
    torch.testing.assert_close(loss.detach(), value)
    found = {
        name: parameter.grad for name, parameter in module.named_parameters() if parameter.grad is not None
    }
    expected = {name: g for name, g in flatten(gradients).items() if name in found}
    assert_trees_close(to_backend(found, "numpy"), to_backend(expected, "numpy"), rtol=1e-9, atol=1e-12)
    assert {name.split(".")[0] for name in found} == {"encoder", "decoder", "matching"}


def test_an_optimizer_changes_the_module_and_nothing_else():
    params, batch = to_backend(make_small(2), "torch")
    before = to_backend(params, "numpy", dtype="float64")  # a copy
    module = mt.to_module(params)
    taken, twin = mt.from_module(module), copy.deepcopy(module)
    optimizer = torch.optim.SGD(module.parameters(), lr=0.1)
    first = module(compute_loss, batch)
    first.backward()
    optimizer.step()
    assert module(compute_loss, batch) < first
    for tree in (params, taken, mt.from_module(twin)):
        assert_trees_close(to_backend(tree, "numpy"), before, rtol=0)


def test_a_module_of_another_origin_is_refused():
    with pytest.raises(ValueError, match=r"that to_module made, got Linear"):
        mt.from_module(torch.nn.Linear(2, 3))
