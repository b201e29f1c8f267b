"""The array interface: the functions of arrays that the model is written in, for any array library.

A backend is a module with the functions that `numpy_backend.FUNCTIONS` lists; `numpy_backend` documents each.
The model calls `xp = namespace(x)` and then `xp.exp(x)`: the type of the array selects the backend. Built in
are NumPy, recorded NumPy arrays (`tape_backend`, for gradients) and PyTorch, which is imported at first use.
"""

import os
from collections.abc import Callable
from contextvars import ContextVar, copy_context
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from minitvlt.backends import numpy_backend, tape
from minitvlt.backends.tree import Array, is_array, map_tree, walk
from minitvlt.backends.tree import flatten as flatten
from minitvlt.backends.tree import unflatten as unflatten

KERNELS = {  # name: modules for NumPy arrays and for recorded ones
    "plain": ("minitvlt.backends.numpy_backend", "minitvlt.backends.tape_backend"),
    "fast": ("minitvlt.backends.fast.numpy", "minitvlt.backends.fast.tape"),
}
_kernels = ""
_modules: dict[type, ModuleType] = {}  # by type of array; torch.Tensor is added at first use
_is_differentiating = ContextVar("_is_differentiating", default=False)
_registered: dict[str, tuple[Callable[[Any], bool], ModuleType]] = {}  # by name


def use_kernels(kernels: str) -> None:
    """Choose the functions that run on NumPy arrays, for the whole process and from now on.

    Args:
        kernels: "plain", the formulas as they are read, or "fast", the default. The environment variable
            MINITVLT_KERNELS sets the choice at import.

    Raises:
        ValueError: another name.
    """
    global _kernels
    if kernels not in KERNELS:
        raise ValueError(f"Expected kernels to be one of {', '.join(KERNELS)}, got {kernels!r}.")
    on_arrays, on_records = map(import_module, KERNELS[kernels])
    _modules.update({np.ndarray: on_arrays, np.generic: on_arrays, tape.TapeArray: on_records})
    _kernels = kernels


def kernels_in_use() -> str:
    """Return the name that `use_kernels` was last called with."""
    return _kernels


def register_backend(module: ModuleType, matches: Callable[[Any], bool]) -> None:
    """Add a backend for another array library; it replaces an earlier one of the same name.

    Args:
        module: has the functions of `numpy_backend.FUNCTIONS`, and a `name`.
        matches: returns whether an array belongs to this library.

    Raises:
        ValueError: functions that are missing, or the name of a built-in backend.
    """
    missing = [name for name in ("name", *numpy_backend.FUNCTIONS) if not hasattr(module, name)]
    if missing:
        raise ValueError(f"A backend needs a name and all functions of the interface; missing: {missing}.")
    if module.name in ("numpy", "torch", "tape"):
        raise ValueError(f"The name {module.name!r} is taken by a built-in backend: choose another.")
    _registered[module.name] = (matches, module)


def namespace(*arrays: Array | None) -> ModuleType:
    """Return the backend of some arrays; None is ignored.

    NumPy arrays beside recorded ones are constants, so the backend of that mixture is the tape's.

    Raises:
        ValueError: arrays of different libraries, or an argument that is not an array.
    """
    found = {}
    for array in arrays:
        if array is not None:
            module = _modules.get(type(array)) or _find_backend(array)
            found[module.name] = module
    if len(found) == 1:
        return next(iter(found.values()))
    if found.keys() == {"numpy", "tape"}:
        return found["tape"]
    if not found:
        raise ValueError("Expected at least one array, got none.")
    names = sorted(found)
    raise ValueError(
        f"Got arrays of different libraries: {' and '.join(names)}. "
        f'Convert one side first, for instance minitvlt.to_backend(video, "{names[-1]}").'
    )


def _find_backend(array: Any) -> ModuleType:
    is_odd = isinstance(array, np.ma.MaskedArray | np.matrix)  # whose operators mean something else
    for kind, module in tuple(_modules.items()):  # a copy: another thread may add torch
        if isinstance(array, kind) and not is_odd:
            return module
    for matches, module in _registered.values():
        if matches(array):
            return module
    if type(array).__module__.partition(".")[0] == "torch" and is_array(array):
        return _torch_backend()
    raise ValueError(f"Expected an array, got {type(array).__name__}: pass a plain one of a known library.")


def _torch_backend() -> ModuleType:
    try:
        backend = import_module("minitvlt.backends.torch_backend")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError('PyTorch is not installed: pip install "minitvlt[torch]".') from None
    _modules[backend.torch.Tensor] = backend
    return backend


def _backend_named(name: str) -> ModuleType:
    if name == "torch":
        return _torch_backend()
    if name == "numpy":
        return _modules[np.ndarray]
    if name in _registered:
        return _registered[name][1]
    raise ValueError(f"No backend {name!r}: choose one of {', '.join(['numpy', 'torch', *_registered])}.")


def to_backend(tree: Any, name: str, device: str | None = None, dtype: str | None = None) -> Any:
    """Convert an array, or all arrays of a tree, to another library.

    Args:
        tree: an array or a tree of arrays (parameters, a batch).
        name: "numpy", "torch" or the name of a registered backend.
        device: for instance "cpu" or "cuda"; None is the library's default.
        dtype: a name such as "float32" for the floating-point arrays; None keeps the dtype of each. Integers
            and booleans are never converted.

    Raises:
        ValueError: a library, a device or a dtype that does not exist here.
    """
    backend = _backend_named(name)

    def convert(array: Array) -> Array:
        source = namespace(array)
        return backend.from_numpy(array if source is backend else source.to_numpy(array), device, dtype)

    return map_tree(convert, tree)


def value_and_grad(function: Callable[..., Any], has_aux: bool = False) -> Callable[..., Any]:
    """Turn a function of parameters into one that also returns the gradient with respect to them.

    Args:
        function: `function(params, *args)` returns a scalar array, or with `has_aux` a pair of that scalar
            and a tree of auxiliary results, such as numbers to log.
        has_aux: whether there is such a pair.

    Returns:
        A function that returns `(value, gradients)`, or `((value, aux), gradients)` with `has_aux`. Gradients
        are a tree like the parameters; integers, booleans and parameters that the value does not depend on
        have gradient zero. NumPy parameters are differentiated by `tape`, torch parameters by autograd.

    Raises:
        ValueError: when it is called, a value that is not a real scalar, a call within another one, or arrays
            of a library without gradients.
    """

    def checked(*args: Any) -> tuple[Any, Any]:
        result = function(*args)
        value, aux = result if has_aux and isinstance(result, tuple) else (result, None)
        shape, dtype = getattr(value, "shape", ()), str(getattr(value, "dtype", type(value).__name__))
        if shape != () or not any(kind in dtype for kind in ("float", "int", "bool")):
            raise ValueError(f"Expected a real scalar, got {dtype} of the shape {tuple(shape)}: sum it up.")
        return value, aux

    def differentiated(params: Any, *args: Any) -> Any:
        if _is_differentiating.get():
            raise ValueError("Got value_and_grad within value_and_grad, which has no second derivatives.")
        backend = namespace(*(array for _, array in walk(params)))
        backend = tape if backend.name == "numpy" else backend
        if not hasattr(backend, "differentiate"):
            raise ValueError(f"{backend.name} has no gradients here: convert to numpy or torch first.")
        context = copy_context()
        context.run(_is_differentiating.set, True)
        value, aux, gradients = context.run(backend.differentiate, checked, params, args)
        return ((value, aux) if has_aux else value), gradients

    return differentiated


def recompute(function: Callable[..., Array], *args: Any) -> Array:
    """Call a function, and compute it again in the backward pass instead of storing its activations.

    Value and gradients are the same; it takes less memory and more time (gradient checkpointing). A backend
    without a `recompute` of its own calls the function as usual.

    Args:
        function: returns one array.
        args: arrays and trees of arrays.
    """
    backend = namespace(*(array for _, array in walk(args)))
    return backend.recompute(function, *args) if hasattr(backend, "recompute") else function(*args)


def to_module(params: Any) -> Any:
    """Return a `torch.nn.Module` with a copy of the parameters, under the names that `flatten` gives.

    `module(minitvlt.forward, video, audio)` is `minitvlt.forward(params, video, audio)` with the module's
    current parameters. DDP, torch.compile and torch's optimizers take it like any other module.

    Args:
        params: a tree of frozen dataclasses, such as `init` and `load` return, on NumPy or PyTorch.
    """
    copies = map_tree(lambda x: _torch_backend().from_numpy(x).detach().clone(), params)
    return import_module("minitvlt.backends.torch_module").TreeModule(copies)


def from_module(module: Any) -> Any:
    """Return a copy of the parameters of a module that `to_module` made, wrapped or not (DDP, torch.compile).

    Raises:
        ValueError: another module.
    """
    kind = import_module("minitvlt.backends.torch_module").TreeModule
    found = next((part for part in module.modules() if isinstance(part, kind)), None)
    if found is None:
        raise ValueError(f"Expected a module that to_module made, got {type(module).__name__}.")
    return map_tree(lambda x: x.detach().clone(), found.to_tree())


use_kernels(os.environ.get("MINITVLT_KERNELS") or "fast")
