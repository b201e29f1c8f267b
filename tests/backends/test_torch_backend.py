"""The torch backend, held to NumPy on every device there is: values here, gradients in test_tape.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from minitvlt.backends import namespace, to_backend, value_and_grad
from minitvlt.backends import numpy_backend as reference
from tests.backends.cases import CASES, IS_REAL, draw_inputs
from tests.helpers.backends import Backend, on_every_backend

torch = pytest.importorskip("torch")
from minitvlt.backends import torch_backend  # noqa: E402


@on_every_backend
@pytest.mark.parametrize("name", CASES)
@settings(max_examples=3)
@given(data=st.data())
def test_every_function_equals_numpy(backend: Backend, name: str, data: st.DataObject) -> None:
    inputs = data.draw(draw_inputs(name))
    moved = backend.move(inputs)
    result = CASES[name].call(namespace(*moved), *moved)
    backend.assert_close(result, np.asarray(CASES[name].call(reference, *inputs)))
    assert str(result.dtype).removeprefix("torch.") in (
        backend.dtype,
        {"float32": "complex64"}.get(backend.dtype, "complex128"),
    )


@on_every_backend
def test_a_row_without_a_real_key_gives_zero_and_gradient_zero(backend: Backend) -> None:
    rng = np.random.default_rng(0)
    inputs = backend.move(tuple(rng.normal(size=(3, 2, 5, 3)) for _ in range(3)))
    is_real = backend.move(IS_REAL)

    def loss(inputs: tuple) -> tuple:
        xp = namespace(*inputs)
        answer = xp.attention(*inputs, is_real)
        return xp.sum(answer * answer), answer

    (_, answer), gradients = value_and_grad(loss, has_aux=True)(inputs)
    gradients, answer = to_backend((gradients, answer), "numpy")
    assert (answer[1] == 0).all()
    for gradient in gradients:
        assert np.isfinite(gradient).all()
        assert (gradient[1] == 0).all()
    for of_keys in gradients[1:]:
        assert (of_keys.transpose(0, 2, 1, 3)[~IS_REAL] == 0).all()


@on_every_backend
def test_equal_values_stay_in_their_order(backend: Backend) -> None:
    x = np.array([2.0, 1, 2, 1, 2, 1] * 50)
    moved = backend.move(x)
    backend.assert_close(namespace(moved).argsort(moved), np.argsort(x, kind="stable"))


@on_every_backend
def test_constants_and_conversions_live_where_the_array_lives(backend: Backend) -> None:
    x = backend.move(np.ones((2, 3)))
    xp = namespace(x)
    for made, dtype in (
        (xp.as_like(0.5, x), backend.dtype),
        (xp.as_like([1, 2], x), "int64"),
        (xp.as_like(np.array([True]), x), "bool"),
        (xp.as_like(0.5, xp.rfft(x)), backend.dtype),
        (xp.as_like(0.5, xp.arange(2, x)), "float64"),
        (xp.zeros((2, 1), x), backend.dtype),
        (xp.arange(4, x), "int64"),
        (xp.astype(x > 0, x.dtype), backend.dtype),
    ):
        assert str(made.dtype).removeprefix("torch.") == dtype
        assert getattr(made, "device", None) == getattr(x, "device", None)


# ------------------------------------------------------------------------------------- in and out


def test_only_floating_point_arrays_change_their_dtype() -> None:
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        x = torch_backend.from_numpy(np.array([0.5, 1.5]), "cpu", dtype)
        assert x.dtype == getattr(torch, dtype)
        assert torch_backend.to_numpy(x).tolist() == [0.5, 1.5]
    assert torch_backend.from_numpy(np.arange(3), None, "float16").dtype == torch.int64
    assert torch_backend.from_numpy(np.array([True]), None, "float16").dtype == torch.bool
    assert torch_backend.to_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32
    assert torch_backend.to_numpy(torch.ones(2, dtype=torch.float16)).dtype == np.float16


def test_own_tensors_are_taken_too() -> None:
    x = torch.ones(3)
    assert torch_backend.from_numpy(x) is x
    assert torch_backend.from_numpy(x, None, "float64").dtype == torch.float64


def test_arrays_are_copied_on_the_way_in() -> None:
    array = np.ones(3)
    array.flags.writeable = False
    x = torch_backend.from_numpy(array)
    x += 1
    assert (array == 1).all()
    assert torch_backend.from_numpy(np.arange(6).reshape(2, 3)[:, ::-1]).tolist() == [[2, 1, 0], [5, 4, 3]]


@pytest.mark.parametrize("dtype", ["float31", "int64", "nn", ""])
def test_an_unknown_dtype_is_refused(dtype: str) -> None:
    with pytest.raises(ValueError, match=r"no floating-point dtype .*bfloat16"):
        torch_backend.from_numpy(np.ones(2), None, dtype)


@pytest.mark.parametrize("device", ["cuda:99", "toaster", "cpu:7", "xpu:99"])
def test_a_device_that_is_not_there_is_refused(device: str) -> None:
    with pytest.raises(ValueError, match=rf"no device '{device}' here: choose one of cpu"):
        torch_backend.from_numpy(np.ones(2), device)


def test_to_numpy_detaches() -> None:
    x = torch.ones(3, requires_grad=True) * 2
    assert torch_backend.to_numpy(x).tolist() == [2, 2, 2]


# --------------------------------------------------------------------------------- differentiation


def test_the_callers_tensors_are_untouched_and_nothing_of_the_graph_comes_out() -> None:
    own = torch.ones(3, requires_grad=True)
    frozen = torch.full((3,), 2.0)

    def loss(params: tuple) -> tuple:
        product = params[0] * params[1]
        return torch.sum(product), (product, "a word")

    with torch.no_grad():
        (value, (product, word)), gradients = value_and_grad(loss, has_aux=True)((own, frozen))
    assert own.grad is None and own.is_leaf and own.requires_grad
    assert frozen.grad is None and not frozen.requires_grad
    assert not any(x.requires_grad for x in (value, product, *gradients))
    assert word == "a word" and value == 6
    assert [g.tolist() for g in gradients] == [[2, 2, 2], [1, 1, 1]]


def test_unused_and_whole_number_parameters_get_zeros() -> None:
    params = (torch.ones(2), torch.arange(3), torch.tensor([True]), torch.ones(5))
    value, gradients = value_and_grad(lambda p: torch.sum(p[0] * p[1][2]))(params)
    assert value == 4
    assert [g.tolist() for g in gradients] == [[2, 2], [0, 0, 0], [False], [0] * 5]
    assert [g.dtype for g in gradients] == [p.dtype for p in params]


def test_a_value_without_any_parameter_has_gradient_zero() -> None:
    assert value_and_grad(lambda x: torch.tensor(2.0))(torch.ones(2))[1].tolist() == [0, 0]
    assert value_and_grad(lambda x: 2.0)(torch.ones(2))[0] == 2.0
    assert value_and_grad(lambda x: torch.tensor(2.0))(torch.arange(2))[1].tolist() == [0, 0]


def test_a_value_that_is_no_scalar_is_refused() -> None:
    with pytest.raises(ValueError, match=r"scalar.*\(3,\)"):
        value_and_grad(lambda x: x * 2)(torch.ones(3))


def test_equal_largest_values_share_the_gradient_as_on_the_tape() -> None:
    x = torch.tensor([3.0, 5.0, 5.0])
    assert value_and_grad(lambda x: torch_backend.max(x))(x)[1].tolist() == [0, 0.5, 0.5]
    assert value_and_grad(lambda x: torch.sum(torch_backend.maximum(x, 5.0)))(x)[1].tolist() == [0, 0.5, 0.5]
    assert value_and_grad(lambda x: torch.sum(torch_backend.minimum(x, 5.0)))(x)[1].tolist() == [1, 0.5, 0.5]


def test_under_autocast_sums_are_in_float32():
    x = torch.tensor([256.0, 1.0, 1.0], dtype=torch.bfloat16)  # in bfloat16, 257 is 256
    for name in ("sum", "mean", "exp", "log"):
        function = getattr(torch_backend, name)
        assert function(x).dtype == torch.bfloat16
        with torch.autocast("cpu", torch.bfloat16):
            assert function(x).dtype == torch.float32
            assert function(x.double()).dtype == torch.float64
    with torch.autocast("cpu", torch.bfloat16):
        assert torch_backend.sum(x).item() == 258
        assert torch_backend.sum(x.long()).dtype == torch.int64
