"""Recognises the package's own function where the student's should be."""

import ast
import contextlib
import inspect
import sys
import textwrap
from collections.abc import Callable, Iterator
from types import FrameType, FunctionType
from typing import Any

from .blanks import Blank

FEW_STATEMENTS = 3  # functions of so few statements may well be written alike


class CopiedError(BaseException):
    """Raised where the student's function calls the package's."""


def is_copy(function: Any, blank: Blank) -> bool:
    """Whether this is the package's function, or has its source but for names, comments and docstring."""
    function = unwrap(function)
    originals = find_originals(blank)
    if any(function is original for original in originals):
        return True
    mine = normalise_source(function)
    return mine is not None and any(mine == normalise_source(original) for original in originals)


def unwrap(function: Any) -> Any:
    """The function inside decorators and partial."""
    for _ in range(20):
        inner = getattr(function, "__wrapped__", None) or getattr(function, "func", None)
        if not callable(inner) or isinstance(function, type):
            break
        function = inner
    return function


def find_file(function: Any) -> str | None:
    """The name of the file, or of the cell, in which the student's code stands."""
    function = unwrap(function)
    methods = list(vars(function).values()) if isinstance(function, type) else []
    for candidate in (function, vars(type(function)).get("__call__"), *methods):
        code = getattr(candidate, "__code__", None)
        if code is not None:
            return code.co_filename
    return None


def list_candidates(blank: Blank) -> list[Any]:
    """The reference, and what has the name of the blank in modules of the package."""
    candidates = [blank.reference]
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] == "minitvlt" and module is not None:
            candidates.append(vars(module).get(blank.name))
    return candidates


def find_originals(blank: Blank) -> list[FunctionType]:
    """The functions and classes of the package, and of the checks, that are the answer."""
    found: list[Any] = []
    for candidate in list_candidates(blank):
        original = unwrap(candidate)
        module = str(getattr(original, "__module__", ""))
        is_ours = module.partition(".")[0] == "minitvlt" or module.startswith(f"{__package__}.")
        if callable(original) and is_ours and not any(original is item for item in found):
            found.append(original)
    return found


@contextlib.contextmanager
def guard_package(function: Any, blank: Blank, base: FrameType) -> Iterator[list[str]]:
    """Meanwhile the package's function raises if the student's code is among its callers.

    The function's code itself is exchanged, so that every name and alias of it is guarded. `base` is the
    frame that runs the student's function.

    Yields:
        A list, which gets an entry for every such call.
    """
    caught: list[str] = []
    filename = find_file(function)
    guarded = []
    try:
        for candidate in list_candidates(blank):
            getattr(candidate, "cache_clear", lambda: None)()  # a result that is kept needs no call
        for original in find_originals(blank):
            if isinstance(original, FunctionType) and not original.__code__.co_freevars:
                guarded.append((original, original.__code__))
                _guard(original, (filename, base), caught)
        yield caught
    finally:
        for original, code in guarded:
            original.__code__ = code
            original.__globals__.pop(_guard_name(original), None)


def _guard_name(original: FunctionType) -> str:
    return f"__guard_of_{original.__name__}__"


def _guard(original: FunctionType, place: tuple[str | None, FrameType], caught: list[str]) -> None:
    clone = FunctionType(original.__code__, original.__globals__, original.__name__, original.__defaults__)
    clone.__kwdefaults__ = original.__kwdefaults__

    def check(*args: Any, **kwargs: Any) -> Any:
        if _is_called_from(*place):
            caught.append(original.__name__)
            raise CopiedError
        return clone(*args, **kwargs)

    name = _guard_name(original)
    original.__globals__[name] = check
    namespace: dict[str, Callable] = {}
    exec(f"def guard(*args, **kwargs): return {name}(*args, **kwargs)", namespace)
    original.__code__ = namespace["guard"].__code__


def _is_called_from(filename: str | None, base: FrameType) -> bool:
    frame = sys._getframe(2)
    while frame is not None and frame is not base:
        if frame.f_code.co_filename == filename:
            return True
        frame = frame.f_back
    return False


# ---- source


def normalise_source(function: Any) -> str | None:
    """The syntax tree without docstring, annotations and names of variables; None for short functions."""
    try:
        tree = ast.parse(textwrap.dedent(inspect.getsource(function))).body[0]
    except Exception:
        return None
    if not isinstance(tree, (ast.FunctionDef, ast.ClassDef)):
        return None
    if isinstance(tree.body[0], ast.Expr) and isinstance(tree.body[0].value, ast.Constant):
        tree.body = tree.body[1:]
    if sum(isinstance(node, ast.stmt) for node in ast.walk(tree)) - 1 <= FEW_STATEMENTS:
        return None
    return ast.dump(ast.Module([_Rename().visit(tree)], []))


class _Rename(ast.NodeTransformer):
    def __init__(self) -> None:
        self.names: dict[str, str] = {}

    def rename(self, name: str) -> str:
        return self.names.setdefault(name, f"name{len(self.names)}")

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.AST:
        node.returns, node.decorator_list, node.name = None, [], "function"
        return self.generic_visit(node)

    def visit_arg(self, node: ast.arg) -> ast.AST:
        node.annotation, node.arg = None, self.rename(node.arg)
        return node

    def visit_Name(self, node: ast.Name) -> ast.AST:
        node.id = self.rename(node.id)
        return node

    def visit_AnnAssign(self, node: ast.AnnAssign) -> ast.AST:
        node.annotation = ast.Constant(None)
        return self.generic_visit(node)
