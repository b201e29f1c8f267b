"""What holds for the whole package, read from its syntax trees."""

import ast
from graphlib import TopologicalSorter

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from minitvlt.model.patches import patchify_video
from tests.helpers.annotations import annotations_unchecked
from tests.helpers.backends import BACKENDS, why_no_cuda
from tests.helpers.syntax import PACKAGE, list_imports, list_modules, list_own_imports

MODULES = list_modules()

# The folders from the ground up: one imports from those to its left and from itself. `__init__` comes last.
FOLDERS = ["config", "files", "backends", "signals", "model", "worlds", "checkpoints", "training", "views"]
FOLDERS += ["commands", "front"]
NEVER = {("model", "signals")}  # although it stands to the left
ARRAY_LIBRARIES = {"numpy", "torch", "scipy"}

# These functions of the array interface take arrays of any shape; the standard's names say what they do.
TAKE_ANY_SHAPE = ("minitvlt.backends",)
SHAPED = {"Float", "Int", "UInt8", "Bool", "Complex", "Shaped", "Num", "Inexact", "Real", "Integer", "UInt"}


def find_folder(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and parts[1] in FOLDERS else "front"


def test_a_folder_imports_only_from_folders_before_it_and_nothing_in_a_circle():
    graph = list_own_imports(MODULES)
    TopologicalSorter(graph).prepare()  # raises an error that shows a circle
    for module, others in graph.items():
        for other in others:
            pair = find_folder(module), find_folder(other)
            is_before = FOLDERS.index(pair[1]) <= FOLDERS.index(pair[0]) and pair not in NEVER
            assert is_before, f"{module} imports {other}: {pair[0]} may not import {pair[1]}"


# What the model makes on the host, and where: initial values, and constants that depend on sizes alone.
MADE_ON_THE_HOST: dict[str, set[str]] = {
    "minitvlt.model.parameters": {"random", "ndarray", "float32", "zeros", "ones", "broadcast_to"},
    "minitvlt.model.masking": {"random", "ndarray"},
}


@pytest.mark.parametrize("module", [name for name in MODULES if find_folder(name) == "model"])
def test_the_model_computes_through_the_array_interface_alone(module):
    tree, allowed = MODULES[module], MADE_ON_THE_HOST.get(module, set())
    libraries = {name.split(".")[0] for name in list_imports(tree)} & ARRAY_LIBRARIES
    attributes = [node for node in ast.walk(tree) if isinstance(node, ast.Attribute)]
    used = {node.attr for node in attributes if ast.unparse(node.value) in ("np", "numpy")}
    assert used <= allowed, f"{module} uses NumPy's {used - allowed}: call the backend, xp = namespace(x)"
    assert libraries <= ({"numpy"} if allowed else set())


# Beside the modules that are torch's own and say so in their names: a pickled checkpoint is torch's own
# format, which nothing else can read.
NAMES_TORCH = {"minitvlt.checkpoints.native"}


def test_torch_is_imported_in_its_own_modules_alone():
    for module, tree in MODULES.items():
        if not module.rpartition(".")[2].startswith("torch_") and module not in NAMES_TORCH:
            assert "torch" not in {name.split(".")[0] for name in list_imports(tree)}, module


def names_no_shape(annotation: ast.expr | None) -> bool:
    """Tell whether an annotation names an array type outside `Float[..., "shape"]` and its kin."""
    if isinstance(annotation, ast.Subscript) and ast.unparse(annotation.value).split(".")[-1] in SHAPED:
        return False
    if ast.unparse(annotation).split(".")[-1] in ("Array", "ndarray", "Tensor"):
        return True
    return any(names_no_shape(child) for child in ast.iter_child_nodes(annotation))


def test_every_public_function_is_documented_and_annotated_and_every_array_has_a_shape():
    functions = [
        (m, node) for m, tree in MODULES.items() for node in tree.body if isinstance(node, ast.FunctionDef)
    ]
    for module, function in functions:
        if function.name.startswith("_"):
            continue
        where, arguments = f"{module}.{function.name}, line {function.lineno}", function.args
        assert ast.get_docstring(function), f"{where} has no docstring"
        every = [*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs]
        every += [a for a in (arguments.vararg, arguments.kwarg) if a]
        annotations = {a.arg: a.annotation for a in every} | {"the result": function.returns}
        missing = [name for name, annotation in annotations.items() if annotation is None]
        assert not missing, f"{where}: no annotation for {missing}"
        if module.startswith(TAKE_ANY_SHAPE) or function.name.startswith("check_"):
            continue  # a check must see bad input
        unshaped = [name for name, annotation in annotations.items() if names_no_shape(annotation)]
        assert not unshaped, f"{where}: write the shape of {unshaped}: Float[Array, 'B N D'], '...' for any"


def test_annotations_are_checked_in_this_very_process():
    for module, tree in MODULES.items():
        assert "__future__.annotations" not in list_imports(tree), f"{module}: jaxtyping reads annotations"
    with pytest.raises(TypeCheckError):
        patchify_video(np.zeros((2, 3)), (1, 1))
    with annotations_unchecked(), pytest.raises(ValueError):
        patchify_video(np.zeros((2, 3)), (1, 1))


def test_cuda_is_part_of_the_suite():
    """Where there is none, its cases do not exist: this says so once."""
    if why_no_cuda():
        pytest.skip(why_no_cuda())
    assert {str(backend) for backend in BACKENDS} >= {"torch-cuda-float32", "torch-cuda-float64"}


def test_the_wheel_will_say_that_it_is_typed():
    assert (PACKAGE / "py.typed").exists()
