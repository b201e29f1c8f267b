"""The waist: everything the model asks of an array library goes through here.

A backend is a module with some thirty functions of agreed names (`minitvlt.backends.numpy_backend` is the
reference and documents each). The model's text calls `xp = namespace(x)` and then `xp.exp(x)`; whose arrays
they are decides what runs. Three backends are built in: NumPy, PyTorch (imported when it is first needed) and
the tape, which is NumPy that records what it does in order to differentiate it.
"""

from collections.abc import Callable
from importlib import import_module
from types import ModuleType
from typing import Any

import numpy as np

from minitvlt.backends import numpy_backend, tape
from minitvlt.backends.tree import Array, flatten, is_array, map_tree, unflatten, walk

__all__ = [
    "Array",
    "flatten",
    "from_module",
    "is_array",
    "map_rows",
    "map_tree",
    "namespace",
    "recompute",
    "register_backend",
    "run_part",
    "to_backend",
    "to_module",
    "unflatten",
    "value_and_grad",
    "walk",
]

_built_in: dict[type, ModuleType] = {
    np.ndarray: numpy_backend,
    np.generic: numpy_backend,
    tape.TapeArray: tape,
}  # torch.Tensor joins them when it is first met
_registered: list[tuple[Callable[[Any], bool], ModuleType]] = []


def register_backend(module: ModuleType, matches: Callable[[Any], bool]) -> None:
    """Plug in another array library.

    Args:
        module: has the functions of `minitvlt.backends.numpy_backend`, and a `name`.
        matches: tells whether an array belongs to this library.
    """
    if getattr(module, "name", None) in ("numpy", "torch", "tape"):
        raise ValueError(f"The name {module.name!r} is taken by a built-in backend: choose another.")
    missing = [name for name in numpy_backend.FUNCTIONS if not hasattr(module, name)]
    if missing or not hasattr(module, "name"):
        raise ValueError(
            f"A backend needs a name and all functions of the waist; missing: {missing or ['name']}."
        )
    _registered[:] = [(other, old) for other, old in _registered if old.name != module.name]
    _registered.append((matches, module))


def namespace(*arrays: Array | None) -> ModuleType:
    """Find the backend of some arrays; None among them is passed over.

    NumPy arrays beside tape arrays are constants of the computation, so that mixture is the tape.

    Raises:
        ValueError: arrays of different libraries, or something that is no array.
    """
    backends = (_backend_of(array) for array in arrays if array is not None)
    found = {backend.name: backend for backend in backends}
    if len(found) == 1:
        return next(iter(found.values()))
    if found.keys() == {"numpy", "tape"}:
        return tape
    if not found:
        raise ValueError("Expected at least one array, got none.")
    names = sorted(found)
    raise ValueError(
        f"Arrays of different libraries meet here: {' and '.join(names)}. "
        f'Convert one side first, for instance minitvlt.to_backend(video, "{names[-1]}").'
    )


def _backend_of(array: Any) -> ModuleType:
    if (known := _built_in.get(type(array))) is not None:
        return known
    for kind, module in _built_in.items():
        if isinstance(array, kind):
            return module
    for matches, module in _registered:
        if matches(array):
            return module
    if type(array).__module__.partition(".")[0] == "torch" and is_array(array):
        return _torch_backend()
    raise ValueError(
        f"Expected an array, got {type(array).__name__}: pass a NumPy array, a torch tensor, "
        "or an array of a library that register_backend knows."
    )


def _torch_backend() -> ModuleType:
    try:
        backend = import_module("minitvlt.backends.torch_backend")
    except ModuleNotFoundError as error:
        if error.name != "torch":
            raise
        raise ValueError('PyTorch is not installed: pip install "minitvlt[torch]".') from None
    _built_in[backend.torch.Tensor] = backend
    return backend


def _backend_named(name: str) -> ModuleType:
    registered = {module.name: module for _, module in _registered}
    if name == "torch":
        return _torch_backend()
    if name == "numpy":
        return numpy_backend
    if name in registered:
        return registered[name]
    raise ValueError(f"Unknown backend {name!r}: choose one of {', '.join(['numpy', 'torch', *registered])}.")


def to_backend(tree: Any, name: str, device: str | None = None, dtype: str | None = None) -> Any:
    """Convert an array, or all arrays of a tree, to another library.

    Args:
        tree: an array or a tree of them (parameters, a batch).
        name: "numpy", "torch" or the name of a registered backend.
        device: where the arrays shall live, for instance "cpu" or "cuda"; None is the library's usual place.
        dtype: a name such as "float32" for the floating-point arrays; None keeps each one's own. Integers and
            booleans are never converted.

    Raises:
        ValueError: a library, a device or a dtype that is not there.
    """
    backend = _backend_named(name)

    def convert(array: Array) -> Array:
        source = _backend_of(array)
        host_or_own = array if source is backend else source.to_numpy(array)
        return backend.from_numpy(host_or_own, device, dtype)

    return map_tree(convert, tree)


def value_and_grad(function: Callable[..., Any], has_aux: bool = False) -> Callable[..., Any]:
    """Turn a function of parameters into one that also returns the gradient with respect to them.

    Args:
        function: `function(params, *args)` returns a scalar array, or with `has_aux` a pair of that scalar
            and a tree of anything else worth having (for a log, without a second forward pass).
        has_aux: whether there is such a pair.

    Returns:
        A function that returns `(value, gradients)`, or `((value, aux), gradients)` with `has_aux`. Gradients
        are a tree like the parameters; a parameter that the value does not depend on gets zeros, as do the
        derivatives of integer and boolean arrays. NumPy parameters are differentiated by the tape, torch
        parameters by torch's autograd.
    """

    def differentiated(params: Any, *args: Any) -> Any:
        backend = namespace(*(array for _, array in walk(params)))
        differentiate = tape.differentiate if backend is numpy_backend else backend.differentiate
        value, aux, gradients = differentiate(function, params, args, has_aux)
        return ((value, aux) if has_aux else value), gradients

    return differentiated


def recompute(function: Callable[..., Array], *args: Any) -> Array:
    """Call a function of arrays and trees, and make what it keeps for the gradient again on the way back.

    The value and the gradients are the same; memory is traded for time. A library that knows no gradients, or
    plugs in without a `recompute` of its own, just calls the function.

    Args:
        function: returns one array.
        args: what it is called with.
    """
    backend = namespace(*(array for _, array in walk(args)))
    return backend.recompute(function, *args) if hasattr(backend, "recompute") else function(*args)


def map_rows(function: Callable[[slice], Array], n: int, size: int, like: Array) -> Array:
    """Compute the rows 0 … n - 1 of an array, on its last axis but one, whose rows depend on none other.

    NumPy asks for a few at a time, which stay in the cache of a core through all that the function does, and
    lets all cores work. Another library is asked for all at once.

    Args:
        function: returns the rows of a slice.
        n: how many there are.
        size: how many numbers the function has in hand for each row.
        like: an array of the library that the function uses.
    """
    backend = namespace(like)
    return backend.map_rows(function, n, size) if hasattr(backend, "map_rows") else function(slice(0, n))


def run_part(function: Callable[..., Array], x: Array, part: Any, *args: Any) -> Array:
    """Call `function(x, part, *args)`, where the part of the parameters is one that is used as a whole.

    In a torch module (see `minitvlt.to_module`) something that can be called stands for such a part. It gets
    the function, so that whatever hooks into torch modules, sharding above all, hooks in here.

    Args:
        function: takes an array, the part and the rest, and returns an array.
        x: the array.
        part: parameters, or what stands for them.
        args: the rest.
    """
    return part(function, x, *args) if callable(part) else function(x, part, *args)


def to_module(params: Any) -> Any:
    """Make a `torch.nn.Module` of a copy of some parameters: the door to all of PyTorch's own tools.

    `module(minitvlt.forward, video, audio)` is `minitvlt.forward(params, video, audio)`, with the parameters
    that the module has at that moment. They have the names that `flatten` gives. DDP, FSDP (each block is a
    module), torch.compile and torch's optimizers take the module as they take any other.

    Args:
        params: what `init` and `load` return, on NumPy or PyTorch, or another tree of frozen dataclasses.
    """
    copies = map_tree(lambda x: _torch_backend().from_numpy(x).detach().clone(), params)
    return import_module("minitvlt.backends.torch_module").TreeModule(copies)


def from_module(module: Any) -> Any:
    """Copy the parameters out of a module that `to_module` made, be it wrapped in DDP, FSDP or torch.compile.

    Of sharded parameters each process gets all, so every process has to call this.

    Raises:
        ValueError: a module of another origin.
    """
    kind = import_module("minitvlt.backends.torch_module").TreeModule
    found = next((part for part in module.modules() if isinstance(part, kind)), None)
    if found is None:
        raise ValueError(f"Expected a module that to_module made, got {type(module).__name__}.")
    whole = map_tree(lambda x: x.full_tensor() if hasattr(x, "full_tensor") else x, found.to_tree(whole=True))
    return map_tree(lambda x: x.detach().clone(), whole)
