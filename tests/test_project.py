"""What holds for the whole package, read from its syntax trees."""

import ast

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import BACKENDS, why_no_cuda
from tests.helpers.shape_comments import find_shape_comments
from tests.helpers.syntax import (
    PACKAGE,
    find_circle,
    list_imports,
    list_modules,
    list_own_imports,
)

MODULES = list_modules()

# The folders from the ground up: one imports from those to its left and from itself. `__init__` comes last.
ROOMS = ["config", "files", "backends", "signals", "model", "worlds", "checkpoints", "training", "views"]
ROOMS += ["commands", "front"]
NEVER = {("model", "signals")}  # although it stands to the left
ARRAY_LIBRARIES = {"numpy", "torch", "scipy"}

# These functions of the array interface take arrays of any shape; the standard's names say what they do.
TAKE_ANY_SHAPE = ("minitvlt.backends",)
SHAPED = {"Float", "Int", "UInt8", "Bool", "Complex", "Shaped", "Num", "Inexact", "Real", "Integer", "UInt"}


def find_room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in ROOMS else "front"


@pytest.mark.parametrize("module", MODULES)
def test_a_room_imports_only_from_rooms_above_it(module):
    room = find_room(module)
    for other in list_own_imports(MODULES)[module]:
        theirs = find_room(other)
        below = ROOMS.index(theirs) > ROOMS.index(room) or (room, theirs) in NEVER
        assert not below, f"{module} imports {other}: {room} may not import {theirs}"


def test_nothing_is_imported_in_a_circle():
    assert find_circle(list_own_imports(MODULES)) == []


# What the model makes on the host, and where: initial values, and constants that depend on sizes alone.
MADE_ON_THE_HOST: dict[str, set[str]] = {
    "minitvlt.model.parameters": {"random", "ndarray", "float32", "zeros", "ones", "broadcast_to"},
    "minitvlt.model.masking": {"random", "ndarray"},
}


@pytest.mark.parametrize("module", [name for name in MODULES if find_room(name) == "model"])
def test_the_model_computes_through_the_array_interface_alone(module):
    tree = MODULES[module]
    libraries = {name.split(".")[0] for name in list_imports(tree)} & ARRAY_LIBRARIES
    used = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute) and ast.unparse(node.value) in ("np", "numpy")
    }
    allowed = MADE_ON_THE_HOST.get(module, set())
    assert used <= allowed, f"{module} uses NumPy's {used - allowed}: call the backend, xp = namespace(x)"
    assert libraries <= ({"numpy"} if allowed else set())


# Beside the modules that are torch's own and say so in their names: a pickled checkpoint is torch's own
# format, which nothing else can read.
NAMES_TORCH = {"minitvlt.checkpoints.native"}


@pytest.mark.parametrize("module", MODULES)
def test_torch_is_imported_in_its_own_modules_alone(module):
    named = {name for name in list_imports(MODULES[module]) if name.split(".")[0] == "torch"}
    is_its_own = module.rpartition(".")[2].startswith("torch_")
    assert not named or is_its_own or module in NAMES_TORCH


def list_public_functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [node for node in tree.body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]


def find_arrays_without_shape(annotation: ast.expr | None) -> bool:
    """Tell whether an annotation names an array type outside `Float[..., "shape"]` and its kin."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).split(".")[-1] in SHAPED:
        return False
    if ast.unparse(annotation).split(".")[-1] in ("Array", "ndarray", "Tensor"):
        return True
    return any(find_arrays_without_shape(child) for child in ast.iter_child_nodes(annotation))


@pytest.mark.parametrize("module", MODULES)
def test_every_public_function_is_annotated_and_every_array_has_a_shape(module):
    for function in list_public_functions(MODULES[module]):
        where = f"{module}.{function.name}, line {function.lineno}"
        arguments = function.args
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [a for a in (arguments.vararg, arguments.kwarg) if a]
        annotations = {a.arg: a.annotation for a in every} | {"the result": function.returns}
        missing = [name for name, annotation in annotations.items() if annotation is None]
        assert not missing, f"{where}: no annotation for {missing}"
        if module.startswith(TAKE_ANY_SHAPE) or function.name.startswith(
            "check_"
        ):  # a check must see bad input
            continue
        unshaped = [name for name, annotation in annotations.items() if find_arrays_without_shape(annotation)]
        assert not unshaped, (
            f"{where}: write the shape of {unshaped}: Float[Array, 'B N D'], or '...' for any"
        )


@pytest.mark.parametrize("module", MODULES)
def test_annotations_are_real_and_documentation_is_there(module):
    assert "__future__.annotations" not in list_imports(MODULES[module]), (
        "jaxtyping reads annotations at run time"
    )
    for function in list_public_functions(MODULES[module]):
        assert ast.get_docstring(function), f"{module}.{function.name} says nothing"


def test_every_shape_comment_can_be_read():
    for path in PACKAGE.rglob("*.py"):
        find_shape_comments(path.read_text("utf-8"), str(path))


def test_annotations_are_checked_in_this_very_process():
    from minitvlt.signals.frames import resize

    with pytest.raises(TypeCheckError):
        resize(np.zeros((2, 3), np.float32), (5, 5))
    with annotations_unchecked(), pytest.raises(ValueError):
        resize(np.zeros((2, 3), np.float32), (5, 5))


def test_cuda_is_part_of_the_suite():
    """Where there is none, its cases do not exist: this says so once."""
    if why_no_cuda():
        pytest.skip(why_no_cuda())
    assert {str(backend) for backend in BACKENDS} >= {"torch-cuda-float32", "torch-cuda-float64"}


def test_a_circle_would_be_found():
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": set()}) == []
    assert find_circle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


def test_the_wheel_will_say_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()
