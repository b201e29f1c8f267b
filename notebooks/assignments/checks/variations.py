"""Single changes of a right solution, such as another axis or a sign.

Each is a wrong solution. Where one gives the student's results for every input, it says what is wrong.
"""

import ast
import copy
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

from .blanks import Text

SHORT, LONG = 14, 90  # letters: what is shown is the smallest expression of at least, and at most, so many
OPERATORS = {
    ast.Add: (ast.Sub,),
    ast.Sub: (ast.Add,),
    ast.Mult: (ast.Div,),
    ast.Div: (ast.Mult, ast.FloorDiv),
    ast.FloorDiv: (ast.Div,),
    ast.Pow: (ast.Mult,),
    ast.BitAnd: (ast.BitOr,),
    ast.BitOr: (ast.BitAnd,),
    ast.Lt: (ast.LtE, ast.Gt, ast.GtE),
    ast.LtE: (ast.Lt, ast.GtE, ast.Gt),
    ast.Gt: (ast.GtE, ast.Lt, ast.LtE),
    ast.GtE: (ast.Gt, ast.LtE, ast.Lt),
    ast.Eq: (ast.NotEq,),
    ast.NotEq: (ast.Eq,),
    ast.Is: (ast.IsNot,),
    ast.IsNot: (ast.Is,),
}
WEAKER = {  # operations that need brackets inside another one
    ast.Mult: (ast.Add, ast.Sub),
    ast.Div: (ast.Add, ast.Sub),
    ast.Pow: (ast.Mult, ast.Div),
}
FUNCTIONS = (  # of one kind: one of them is written for another
    ("max", "min", "mean", "sum", "cumsum", "prod"),
    ("maximum", "minimum"),
    ("argmax", "argmin"),
    ("log", "log2", "log10", "log1p"),
    ("exp", "expm1", "exp2"),
    ("floor", "ceil", "round", "int"),
    ("zeros", "ones"),
    ("zeros_like", "ones_like"),
    ("sin", "cos"),
    ("real", "imag", "abs"),
    ("any", "all"),
    ("concat", "stack"),
    ("ndtr", "expit", "tanh"),
)


def list_variations(text: Text) -> Iterator[tuple[ast.Module, str]]:
    """Changed sources, each with what it means in words.

    It is always the same tree, which is changed again when the next one is asked for.
    """
    tree = ast.parse(text.source)
    write_numbers(tree, text.names)
    whole = ast.unparse(tree)
    variables = sorted(find_variables(tree))
    for slot, ancestors in list_slots(tree, ()):
        node = slot.get()
        seen = choose_shown(node, ancestors)
        before = shorten(seen)
        step = next((each for each in (node, *ancestors) if isinstance(each, ast.stmt)), node)
        is_unclear = step is not seen and (len(before) < SHORT or whole.count(before) > 1)
        where = f", in the step `{shorten(step)}`" if is_unclear else ""
        for new in list_replacements(node, variables):
            slot.put(ast.fix_missing_locations(new))
            after = shorten(new if seen is node else seen)
            words = f"of `{after}` in place of `{before}`{where}"
            if isinstance(new, ast.Pass):
                words = f"without `{before}`"
            elif isinstance(new, ast.If):
                words = f"of a condition `{ast.unparse(node.test)}` that is always {new.test.value}"
            yield tree, f"The result is that {words}."
            slot.put(node)


def write_numbers(tree: ast.AST, names: dict[str, Any]) -> None:
    """Put numbers in the places of names that stand for numbers."""
    for slot, _ in list_slots(tree, ()):
        value = names.get(getattr(slot.get(), "id", ""))
        if type(value) in (int, float):
            slot.put(ast.Constant(value, kind=None))
    ast.fix_missing_locations(tree)


@dataclass(frozen=True)
class Slot:
    """The place of a node in its parent."""

    container: Any  # the parent's attributes, or a list among them
    key: Any

    def get(self) -> ast.AST:
        """The node that stands here."""
        return self.container[self.key]

    def put(self, node: ast.AST) -> None:
        """Put another node here."""
        self.container[self.key] = node


def list_slots(parent: ast.AST, ancestors: tuple[ast.AST, ...]) -> Iterator[tuple[Slot, tuple[ast.AST, ...]]]:
    """The places of all statements and expressions, each with the nodes around it, the nearest first.

    Annotations, default values and checks of arguments are left out.
    """
    ancestors = (parent, *ancestors)
    for name in ("body",) if isinstance(parent, ast.FunctionDef) else parent._fields:
        value = getattr(parent, name)
        slots = (
            [Slot(value, i) for i in range(len(value))]
            if isinstance(value, list)
            else [Slot(vars(parent), name)]
        )
        for slot in slots:
            node = slot.get()
            if isinstance(node, ast.AST) and name != "annotation" and not is_left_alone(node):
                yield slot, ancestors
                if not is_negative_number(node):
                    yield from list_slots(node, ancestors)


def is_left_alone(node: ast.AST) -> bool:
    """Whether a statement only checks arguments, or finds the backend of arrays."""
    if isinstance(node, ast.Assign) and ast.unparse(node.value).startswith("namespace("):
        return True
    if isinstance(node, ast.Expr) and isinstance(node.value, ast.Call):
        return ast.unparse(node.value.func).startswith("check_")
    return isinstance(node, ast.Raise) or (isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise))


def is_negative_number(node: ast.AST) -> bool:
    """Whether a node is a number with a minus sign."""
    return (
        isinstance(node, ast.UnaryOp)
        and isinstance(node.op, ast.USub)
        and isinstance(node.operand, ast.Constant)
    )


def choose_shown(node: ast.AST, ancestors: tuple[ast.AST, ...]) -> ast.AST:
    """The smallest part around a node that shows where it stands."""
    for parent in ancestors:
        is_long = len(ast.unparse(node)) >= SHORT and not isinstance(node, ast.Constant)
        is_enough = is_long or isinstance(node, ast.stmt)
        if is_enough or not isinstance(parent, (ast.expr, ast.stmt)) or len(ast.unparse(parent)) > LONG:
            break
        node = parent
    return node


def list_replacements(node: ast.AST, variables: list[str]) -> Iterator[ast.AST]:
    """What a student might write for a statement or an expression."""
    if isinstance(node, ast.If):
        yield from (ast.If(ast.Constant(value), node.body, node.orelse) for value in (True, False))
    elif isinstance(node, (ast.Assign, ast.AugAssign, ast.Expr)):
        yield ast.Pass()
    elif isinstance(node, ast.BinOp):
        yield from (node.left, node.right)
        for kind in OPERATORS.get(type(node.op), ()):
            yield ast.BinOp(node.left, kind(), node.right)
        if isinstance(node.op, (ast.Sub, ast.Div, ast.MatMult, ast.FloorDiv)):
            yield ast.BinOp(node.right, node.op, node.left)
        yield from leave_out_brackets(node)
        yield from weigh_terms(node)
        if isinstance(node.op, ast.FloorDiv):
            for kind in (ast.Add, ast.Sub):
                yield ast.BinOp(ast.BinOp(node.left, kind(), ast.Constant(1)), node.op, node.right)
                yield ast.BinOp(node, kind(), ast.Constant(1))
    elif isinstance(node, ast.Compare) and len(node.ops) == 1:
        for kind in OPERATORS.get(type(node.ops[0]), ()):
            yield ast.Compare(node.left, [kind()], node.comparators)
    elif is_negative_number(node):
        yield from (ast.Constant(value) for value in list_constants(-node.operand.value))
    elif isinstance(node, ast.UnaryOp):
        yield node.operand
    elif isinstance(node, ast.IfExp):
        yield node.body
        yield node.orelse
    elif isinstance(node, ast.Constant):
        yield from (ast.Constant(value) for value in list_constants(node.value))
    elif isinstance(node, ast.Call):
        yield from list_calls(node)
    elif (
        isinstance(node, ast.Subscript)
        and isinstance(node.value, ast.Attribute)
        and node.value.attr == "shape"
    ):
        yield from (ast.BinOp(node, kind(), ast.Constant(1)) for kind in (ast.Add, ast.Sub))
    elif isinstance(node, ast.Attribute) and node.attr == "T":
        yield node.value
    elif isinstance(node, ast.Tuple) and isinstance(node.ctx, ast.Load):
        for i, j in itertools.combinations(range(len(node.elts)), 2):
            yield ast.Tuple(swap(node.elts, i, j), node.ctx)
    elif isinstance(node, ast.Slice):
        yield from list_slices(node)
    elif isinstance(node, ast.Name) and isinstance(node.ctx, ast.Load) and node.id in variables:
        yield from (ast.Name(name, node.ctx) for name in variables if name != node.id)


def leave_out_brackets(node: ast.BinOp) -> Iterator[ast.BinOp]:
    """An operation on a whole sum or product, done with one part of it alone."""
    for side, part in itertools.product(("left", "right"), repeat=2):
        inner = getattr(node, side)
        if isinstance(inner, ast.BinOp) and isinstance(inner.op, WEAKER.get(type(node.op), ())):
            outer, changed = copy.copy(inner), copy.copy(node)
            setattr(changed, side, getattr(inner, part))
            setattr(outer, part, changed)
            yield outer


def weigh_terms(node: ast.BinOp) -> Iterator[ast.BinOp]:
    """A sum or difference with one term twice or half as large."""
    if isinstance(node.op, (ast.Add, ast.Sub)):
        for side, factor in itertools.product(("left", "right"), (2, 0.5)):
            changed = copy.copy(node)
            setattr(changed, side, ast.BinOp(ast.Constant(factor), ast.Mult(), getattr(node, side)))
            yield changed


def find_variables(tree: ast.Module) -> set[str]:
    """The names of arguments and of what is assigned."""
    stored = (n.id for n in ast.walk(tree) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store))
    return {*stored, *(node.arg for node in ast.walk(tree) if isinstance(node, ast.arg))} - {"xp"}


def list_constants(value: Any) -> list[Any]:
    """Other constants."""
    if isinstance(value, bool):
        return [not value]
    if isinstance(value, int):
        return [n for n in dict.fromkeys((value - 1, value + 1, -value, -2, -1, 0, 1, 2, 3)) if n != value]
    if isinstance(value, float):
        return [value * factor + 0.0 for factor in (2, 0.5, 10, 0.1, 100, 0.01, 0, -1, 1e-3)]
    return []


def list_calls(node: ast.Call) -> Iterator[ast.expr]:
    """A call of another function, with arguments left out or exchanged, or no call."""
    function = node.func
    name = function.attr if isinstance(function, ast.Attribute) else getattr(function, "id", "")
    yield from node.args or ([function.value] if isinstance(function, ast.Attribute) else [])
    for other in (each for kind in FUNCTIONS if name in kind for each in kind if each != name):
        is_member, load = isinstance(function, ast.Attribute), ast.Load()
        called = ast.Attribute(function.value, other, load) if is_member else ast.Name(other, load)
        yield ast.Call(called, node.args, node.keywords)
    for i, keyword in enumerate(node.keywords):
        yield ast.Call(function, node.args, node.keywords[:i] + node.keywords[i + 1 :])
        if keyword.arg == "axis":
            for axis in (-1, -2, 0, 1, 2, None):
                changed = list(node.keywords)
                changed[i] = ast.keyword("axis", ast.Constant(axis))
                yield ast.Call(function, node.args, changed)
    for i, j in itertools.combinations(range(len(node.args)), 2):
        if not any(isinstance(node.args[k], ast.Constant) for k in (i, j)):
            yield ast.Call(function, swap(node.args, i, j), node.keywords)


def list_slices(node: ast.Slice) -> Iterator[ast.Slice]:
    """Other bounds of a slice."""
    for name in ("lower", "upper", "step"):
        bound = getattr(node, name)
        if bound is None:
            continue
        others: list[ast.expr | None] = [None]
        others += [ast.BinOp(bound, kind(), ast.Constant(1)) for kind in (ast.Add, ast.Sub)]
        for other in others:
            bounds = {each: getattr(node, each) for each in ("lower", "upper", "step")}
            yield ast.Slice(**{**bounds, name: other})


def swap(items: list[Any], i: int, j: int) -> list[Any]:
    """The list with two entries exchanged."""
    items = list(items)
    items[i], items[j] = items[j], items[i]
    return items


def shorten(node: ast.AST) -> str:
    """The text of a node, in one line."""
    text = re.sub(r"\bxp\.(\w+)", name_function, ast.unparse(node).split("\n")[0])
    return text if len(text) <= LONG else text[: LONG - 1] + "…"


def name_function(match: re.Match[str]) -> str:
    """A function of any backend under the name that NumPy gives it, if there is one."""
    return f"np.{match[1]}" if hasattr(np, match[1]) else match[0]
