"""Trees of arrays: frozen dataclasses, tuples, lists and dictionaries, all the way down to arrays.

Parameters, batches and gradients are such trees. Whatever is none of these (a number, a word, None,
a configuration) belongs to the tree's structure: it is carried along untouched.
"""

from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

from minitvlt.config import Config

Array = Any  # an array of any library: annotations give its shape, `namespace` finds its functions


def is_array(value: Any) -> bool:
    """Tell whether a leaf is an array of any library: all of them have a shape and a dtype."""
    return hasattr(value, "shape") and hasattr(value, "dtype")


def children(node: Any) -> list[tuple[str, Any]]:
    """Name the parts of a node, in order; a leaf has none."""
    if isinstance(node, dict):
        return [(str(name), child) for name, child in node.items()]
    if isinstance(node, (tuple, list)):
        return [(str(i), child) for i, child in enumerate(node)]
    return [(name, getattr(node, name)) for name in field_names(type(node))]


@cache
def field_names(kind: type) -> tuple[str, ...]:
    """Name the fields of a dataclass; other types have none, and neither has a configuration (no arrays)."""
    return () if kind is Config else tuple(getattr(kind, "__dataclass_fields__", ()))


def map_tree(function: Callable[..., Any], *trees: Any) -> Any:
    """Apply a function to the arrays of one tree, or to matching arrays of several trees of one structure.

    The result has the structure of the first tree.

    >>> map_tree(lambda x, y: x + y, (np.ones(2), None, "a"), (np.ones(2), None, "a"))
    (array([2., 2.]), None, 'a')
    """
    node = trees[0]
    if is_array(node):
        return function(*trees)
    parts = [children(tree) for tree in trees]
    if not parts[0]:
        return node
    if len(set(map(len, parts))) > 1:
        raise ValueError(f"Trees of different structure: {[type(tree).__name__ for tree in trees]}.")
    mapped = [map_tree(function, *[child for _, child in row]) for row in zip(*parts, strict=True)]
    if isinstance(node, dict):
        return dict(zip(node, mapped, strict=True))
    if isinstance(node, (tuple, list)):
        return type(node)(*mapped) if hasattr(node, "_fields") else type(node)(mapped)
    return type(node)(**dict(zip(field_names(type(node)), mapped, strict=True)))


def walk(node: Any, prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Yield every array with its dotted name, in the order of the declarations."""
    if is_array(node):
        yield prefix, node
        return
    for name, child in children(node):
        yield from walk(child, f"{prefix}.{name}" if prefix else name)


def flatten(tree: Any) -> dict[str, Any]:
    """Name every array of a tree: `encoder.blocks.0.attention.qkv.weight` -> array."""
    return dict(walk(tree))


def unflatten(like: Any, arrays: dict[str, Any]) -> Any:
    """Build a tree of the structure of `like` from named arrays; the way back from `flatten`.

    Raises:
        ValueError: a name that is missing or that the structure does not have.
    """
    names = [name for name, _ in walk(like)]
    missing, unknown = set(names) - set(arrays), set(arrays) - set(names)
    if missing or unknown:
        raise ValueError(
            f"The names do not fit the tree: missing {sorted(missing)[:5]}, unknown {sorted(unknown)[:5]}."
        )
    in_order = iter(names)
    return map_tree(lambda _: arrays[next(in_order)], like)
