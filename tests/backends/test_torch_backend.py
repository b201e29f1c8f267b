"""What torch alone has: half precisions, devices, autocast. Values and gradients are in test_cases.py."""

import numpy as np
import torch

from minitvlt.backends import torch_backend


def test_only_floating_point_arrays_change_their_dtype() -> None:
    for dtype in ("float16", "bfloat16", "float32", "float64"):
        x = torch_backend.from_numpy(np.array([0.5, 1.5]), "cpu", dtype)
        assert x.dtype == getattr(torch, dtype)
        assert torch_backend.to_numpy(x).tolist() == [0.5, 1.5]
    assert torch_backend.from_numpy(np.arange(3), None, "float16").dtype == torch.int64
    assert torch_backend.from_numpy(np.array([True]), None, "float16").dtype == torch.bool
    assert torch_backend.to_numpy(torch.ones(2, dtype=torch.bfloat16)).dtype == np.float32
    assert torch_backend.to_numpy(torch.ones(2, dtype=torch.float16)).dtype == np.float16


def test_tensors_are_taken_as_they_are_and_arrays_are_copied() -> None:
    x = torch.ones(3)
    assert torch_backend.from_numpy(x) is x
    assert torch_backend.from_numpy(x, None, "float64").dtype == torch.float64
    array = np.ones(3)
    array.flags.writeable = False
    x = torch_backend.from_numpy(array)
    x += 1
    assert (array == 1).all()
    assert torch_backend.from_numpy(np.arange(6).reshape(2, 3)[:, ::-1]).tolist() == [[2, 1, 0], [5, 4, 3]]


def test_to_numpy_detaches() -> None:
    x = torch.ones(3, requires_grad=True) * 2
    assert torch_backend.to_numpy(x).tolist() == [2, 2, 2]


def test_under_autocast_sums_are_in_float32() -> None:
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
