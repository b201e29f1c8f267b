"""Shape comments are evaluated: `x = xp.reshape(x, (B, N * D))  # (B, N * D)`.

A comment that begins with `# (` and stands behind code is a shape comment. It is a Python tuple of integers,
spelled in the function's own variables (`(*batch, N)` and `(N,)` are tuples too), at the end of an assignment
or a return. A value that is a tuple or a list of arrays has the stated shape in every member. Anything else
that looks like one is a SyntaxError when the module is imported: a slip of the pen cannot switch a check off.

When the tests import the package, `ShapeCommentLoader` adds one call behind each such line, in the syntax
tree and on the same line: tracebacks and coverage see the file as it is. The package knows nothing of this.
"""

import ast
import io
import re
import sys
import tokenize
from collections.abc import Callable
from dataclasses import dataclass, field
from importlib.machinery import ModuleSpec
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from jaxtyping._import_hook import JaxtypingTransformer, Typechecker, _JaxtypingFinder, _JaxtypingLoader

ROOT = Path(__file__).parents[2]
CHECK = "__check_shape__"  # the name of the added call among a module's globals


class ShapeCommentError(AssertionError):
    """A shape comment says something else than the array on its line."""


@dataclass
class Ledger:
    """What became of the shape comments: the places where one was compared with an array, and the lies."""

    reached: set[str] = field(default_factory=set)
    lies: list[str] = field(default_factory=list)

    def check(self, value: Any, state: Callable[[], tuple[int, ...]], place: str) -> Any:
        """Compare a value with its comment, and hand it on."""
        __tracebackhide__ = True
        try:
            stated = tuple(state())
        except Exception as error:
            self.tell(f"{place}: the comment cannot be evaluated here: {type(error).__name__}: {error}")
        for array in value if isinstance(value, tuple | list) else (value,):
            if not hasattr(array, "shape"):
                continue
            if tuple(array.shape) != stated:
                self.tell(f"{place}: the comment says {stated}, the array is {tuple(array.shape)}")
            self.reached.add(place)
        return value

    def tell(self, lie: str) -> None:
        """Fail the test; the note stays even if the package catches the error."""
        __tracebackhide__ = True
        self.lies.append(lie)
        raise ShapeCommentError(lie)


def find_shape_comments(source: str, path: str) -> dict[int, ast.Tuple]:
    """Read the shape comments of a module: line number -> tuple expression."""
    lines, found = source.split("\n"), {}
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type != tokenize.COMMENT or not re.match(r"#+\s*\(", token.string):
            continue
        row, column = token.start
        expression = _parse_shape(token.string.lstrip("#").strip())
        behind_code = bool(lines[row - 1][:column].strip())
        if behind_code and expression is None:
            slip = "a comment behind code that begins with '(' is a tuple of integers, such as (B, N) or (N,)"
        elif not behind_code and expression is not None:
            slip = "a shape comment stands behind the code whose value it describes"
        else:
            slip = None
        if slip:
            raise SyntaxError(f"{slip}; got {token.string}", (path, row, column + 1, lines[row - 1]))
        if expression is not None:
            found[row] = expression
    return found


def _parse_shape(text: str) -> ast.Tuple | None:
    try:
        expression = ast.parse(text, mode="eval").body
    except SyntaxError:
        return None
    allowed = all(type(n.value) is int for n in ast.walk(expression) if isinstance(n, ast.Constant))
    return expression if isinstance(expression, ast.Tuple) and allowed else None


class _Instrument(ast.NodeTransformer):
    """Add the check to every assignment and return whose last line carries a comment."""

    def __init__(self, comments: dict[int, ast.Tuple], path: str) -> None:
        self.comments, self.path = comments, path

    def visit(self, node: ast.AST) -> Any:
        if not isinstance(node, ast.Assign | ast.AnnAssign | ast.AugAssign | ast.Return) or not node.value:
            return self.generic_visit(node)
        comment = self.comments.pop(node.end_lineno, None)
        if comment is None:
            return node
        if isinstance(node, ast.Return):
            node.value = self._check(node.value, comment, node)
            return node
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        value = ast.parse(ast.unparse(target), mode="eval").body  # the target again, now to be read
        return [node, ast.copy_location(ast.Expr(self._check(value, comment, node)), node)]

    def _check(self, value: ast.expr, comment: ast.Tuple, statement: ast.stmt) -> ast.Call:
        place = f"{self.path}:{statement.end_lineno} # {ast.unparse(comment)}"
        state = ast.Lambda(ast.arguments([], [], None, [], [], None, []), comment)
        call = ast.Call(ast.Name(CHECK, ast.Load()), [value, state, ast.Constant(place)], [])
        for added in (call, state, *ast.walk(state), *ast.walk(call.func), call.args[2]):
            ast.copy_location(added, statement)
        return call


class _Annotate(JaxtypingTransformer):
    """Have annotations checked, but not those of functions within functions.

    Such a function is created at every call of the outer one, and creating its check takes longer (2 ms) than
    most of them run.
    """

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if any(isinstance(parent, ast.FunctionDef) for parent in self._parents):
            self.generic_visit(node)
            return node
        return super().visit_FunctionDef(node)


def shorten(path: str | Path) -> str:
    """Name a file from the repository's root, whatever the current folder is."""
    path = Path(path).resolve()
    return path.relative_to(ROOT).as_posix() if path.is_relative_to(ROOT) else str(path)


def instrument(source: str, path: str) -> ast.Module:
    """Parse a module and add a check to every line with a shape comment."""
    comments = find_shape_comments(source, path)
    tree = _Instrument(comments, shorten(path)).visit(ast.parse(source, path))
    for row in comments:  # what no statement took
        text = "a shape comment belongs on the last line of an assignment or a return"
        raise SyntaxError(text, (path, row, 1, source.split("\n")[row - 1]))
    return ast.fix_missing_locations(tree)


def list_places(package: Path) -> set[str]:
    """Name every shape comment of a package as `Ledger.reached` does."""
    return {
        f"{shorten(path)}:{row} # {ast.unparse(comment)}"
        for path in package.rglob("*.py")
        for row, comment in find_shape_comments(path.read_text("utf-8"), str(path)).items()
    }


class ShapeCommentLoader(_JaxtypingLoader):
    """Checks annotations, as jaxtyping's loader does, and shape comments; never loads from a cache."""

    def __init__(self, *args: Any, ledger: Ledger, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._ledger = ledger

    def get_code(self, fullname: str) -> CodeType:
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)

    def source_to_code(self, data: bytes, path: str, *, _optimize: int = -1) -> CodeType:
        tree = instrument(data.decode("utf-8"), path)
        tree = ast.fix_missing_locations(_Annotate(typechecker=self._typechecker).visit(tree))
        return compile(tree, path, "exec", dont_inherit=True, optimize=_optimize)

    def exec_module(self, module: ModuleType) -> None:
        setattr(module, CHECK, self._ledger.check)
        super().exec_module(module)


class ShapeCommentFinder(_JaxtypingFinder):
    """Finds the modules of some packages and has them loaded by `ShapeCommentLoader`."""

    def __init__(self, packages: list[str], typechecker: Typechecker, ledger: Ledger) -> None:
        path_finder = next(f for f in sys.meta_path if getattr(f, "__name__", "") == "PathFinder")
        super().__init__(packages, path_finder, typechecker)
        self._ledger = ledger

    def find_spec(self, fullname: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        spec = super().find_spec(fullname, path, target)
        if spec is not None:
            name, where = spec.loader.name, spec.loader.path
            spec.loader = ShapeCommentLoader(name, where, typechecker=self._typechecker, ledger=self._ledger)
        return spec


def install(packages: list[str], typechecker: str, ledger: Ledger) -> ShapeCommentFinder:
    """Check the annotations and the shape comments of packages that are imported from now on."""
    early = [name for name in packages if name in sys.modules]
    if early:
        raise RuntimeError(
            f"{early} came before the tests could watch: import it in test files, not in conftest."
        )
    finder = ShapeCommentFinder(packages, Typechecker(typechecker), ledger)
    sys.meta_path.insert(0, finder)
    return finder
