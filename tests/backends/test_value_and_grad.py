"""`value_and_grad` and `recompute`: the same on the tape and on torch."""

from typing import Any

import numpy as np
import pytest
import torch

import minitvlt as mt
from minitvlt.backends import namespace, recompute, to_backend, value_and_grad
from minitvlt.backends.tape import TapeArray
from tests.helpers.backends import assert_trees_close, register_strict

ON_BOTH = pytest.mark.parametrize("backend", ["numpy", "torch"])


@ON_BOTH
def test_gradients_are_a_tree_like_the_parameters_and_auxiliary_results_come_beside(backend: str) -> None:
    params = {
        "weight": np.array([1.0, 2.0]),
        "layers": [np.array(3.0), None],
        "unused": np.ones(5),
        "steps": np.arange(2),
        "is_on": np.array([True, False]),
    }
    params, data = to_backend((params, np.array([5.0, 7.0])), backend)

    def loss(params: dict[str, Any], data: Any, factor: float) -> tuple[Any, Any]:
        xp = namespace(params["weight"], data)
        product = params["weight"] * data
        picked = xp.take(xp.where(params["is_on"], product, 0.0) + product, params["steps"], axis=0)
        return xp.sum(picked) * params["layers"][0] * factor, (product, factor, "a word", None)

    value, gradients = value_and_grad(lambda *args: loss(*args)[0])(params, data, 2.0)
    (same, (product, *rest)), again = value_and_grad(loss, has_aux=True)(params, data, 2.0)
    assert float(value) == float(same) == (10 + 14) * 3 * 2
    assert product.tolist() == [5, 14] and rest == [2.0, "a word", None]
    assert type(product) is type(data) and not isinstance(product, TapeArray)
    expected = {
        "weight": np.array([60.0, 42.0]),
        "layers": [np.array(48.0), None],
        "unused": np.zeros(5),
        "steps": np.zeros(2, int),
        "is_on": np.zeros(2, bool),
    }
    for found in (gradients, again):
        assert found["layers"][1] is None and found["steps"].dtype == params["steps"].dtype
        assert_trees_close(to_backend(found, "numpy"), expected, rtol=1e-12)


@ON_BOTH
def test_the_parameters_may_be_one_array_and_the_value_may_not_depend_on_it(backend: str) -> None:
    x, two = to_backend((np.array(3.0), np.array(2.0)), backend)
    assert value_and_grad(lambda x: x)(x) == (3.0, 1.0)
    assert value_and_grad(lambda x: two)(x) == (2.0, 0.0)
    assert value_and_grad(lambda x: 2.0)(x) == (2.0, 0.0)
    whole = to_backend(np.arange(2), backend)
    assert value_and_grad(lambda x: two)(whole)[1].tolist() == [0, 0]


NO_SCALARS = {
    "an array": (lambda x: x * 2, r"\(3,\)"),
    "an array of one": (lambda x: x[:1], r"\(1,\)"),
    "a complex number": (lambda x: x[0] * 1j, "complex128"),
    "a pair": (lambda x: (x[0], x), "tuple"),
}


@ON_BOTH
@pytest.mark.parametrize(("function", "found"), NO_SCALARS.values(), ids=NO_SCALARS)
def test_a_value_that_is_no_real_scalar_is_refused(backend: str, function, found: str) -> None:
    with pytest.raises(ValueError, match=f"real scalar, got .*{found}"):
        value_and_grad(function)(to_backend(np.ones(3), backend))


@ON_BOTH
def test_parameters_may_be_used_twice(backend: str) -> None:
    x = to_backend(np.array([3.0, 5.0])[::-1], backend)
    value, gradients = value_and_grad(lambda pair: (pair[0] * pair[1])[0])((x, x))
    assert float(value) == 25.0 and [g.tolist() for g in gradients] == [[5.0, 0.0], [5.0, 0.0]]


@ON_BOTH
def test_a_call_within_another_is_refused_and_leaves_nothing_behind(backend: str) -> None:
    def cube(x: Any) -> Any:
        return x * x * x

    def through_parameters(x: Any) -> Any:
        return value_and_grad(cube)(x)[1]

    def around_them(x: Any) -> Any:
        return value_and_grad(lambda y: x * y)(to_backend(np.array(2.0), backend))[0]

    x = to_backend(np.array(2.0), backend)
    for function in (through_parameters, around_them):
        with pytest.raises(ValueError, match="value_and_grad within value_and_grad"):
            value_and_grad(function)(x)
    assert value_and_grad(cube)(x) == (8.0, 12.0)


@ON_BOTH
def test_changes_in_place_are_refused(backend: str) -> None:
    def change(x: Any) -> Any:
        x[0] = 5.0
        return x[0] * x[1]

    x = to_backend(np.array([2.0, 3.0]), backend)
    with pytest.raises(ValueError, match="changed in place"):
        value_and_grad(change)(x)
    assert x.tolist() == [2.0, 3.0]


def test_transformations_of_torch_pass_through_a_forward_pass() -> None:
    params = mt.to_backend(mt.init(mt.Config.tiny()), "torch")
    video = torch.rand(2, 3, 3, 24, 24)
    found = torch.func.grad(lambda x: mt.forward(params, x, None).cls.sum())(video)
    expected = mt.value_and_grad(lambda x: mt.forward(params, x, None).cls.sum())(video)[1]
    torch.testing.assert_close(found, expected)


def test_a_library_without_gradients_is_refused() -> None:
    register_strict()
    with pytest.raises(ValueError, match="array-api-strict has no gradients here: convert"):
        value_and_grad(lambda x: x)(to_backend(np.ones(()), "array-api-strict"))


def test_torch_tensors_of_the_caller_are_untouched_and_nothing_of_the_graph_comes_out() -> None:
    own, frozen = torch.ones(3, requires_grad=True), torch.full((3,), 2.0)

    def loss(params: tuple) -> tuple:
        product = params[0] * params[1]
        return torch.sum(product), product

    with torch.no_grad():
        (value, product), gradients = value_and_grad(loss, has_aux=True)((own, frozen))
    assert own.grad is None and own.is_leaf and own.requires_grad
    assert frozen.grad is None and not frozen.requires_grad
    assert not any(x.requires_grad for x in (value, product, *gradients))
    assert [g.tolist() for g in gradients] == [[2, 2, 2], [1, 1, 1]]


# ---- recompute


def double_and_mix(tree: dict[str, Any], factor: float, places: Any) -> Any:
    return 2 * tree["x"] * tree["weight"] + factor * namespace(tree["x"]).take(tree["x"], places, axis=0)


@ON_BOTH
def test_recomputing_gives_the_same_value_and_gradients(backend: str) -> None:
    rng = np.random.default_rng(0)
    tree = {"x": rng.standard_normal((3, 2)), "weight": rng.standard_normal((3, 2))}
    tree, places = to_backend((tree, np.array([2, 0, 2])), backend)

    def run(tree: dict[str, Any], again: bool) -> Any:
        for _ in range(2):  # one use after another, and the weight in both
            arguments = (double_and_mix, tree, 0.5, places)
            y = recompute(*arguments) if again else double_and_mix(*arguments[1:])
            tree = {"x": y, "weight": tree["weight"]}
        return namespace(y).sum(y * y)

    plain, again = (to_backend(value_and_grad(run)(tree, flag), "numpy") for flag in (False, True))
    assert_trees_close(again, plain, rtol=1e-13)


def test_recomputing_without_a_tape_is_just_a_call() -> None:
    register_strict()
    x = np.arange(6.0).reshape(3, 2)
    assert type(recompute(np.exp, x)) is np.ndarray
    theirs = recompute(lambda x: x + x, to_backend(x, "array-api-strict"))
    assert np.array_equal(to_backend(theirs, "numpy"), 2 * x)
