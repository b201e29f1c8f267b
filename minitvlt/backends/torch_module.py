"""Parameters as a `torch.nn.Module`; `to_module` makes one and `from_module` is the way back."""

from collections.abc import Callable
from typing import Any

from torch import nn

from minitvlt.backends.tree import children, is_array


class TreeModule(nn.Module):
    """A tree of frozen dataclasses and tuples as nested modules, with the tree's tensors as parameters.

    The parameters have the names that `flatten` gives them, and share the memory of the tensors.
    """

    def __init__(self, tree: Any) -> None:
        super().__init__()
        self.kind, self.names = type(tree), [name for name, _ in children(tree)]
        for name, child in children(tree):
            if is_array(child):
                child = nn.Parameter(child)
            elif children(child):
                child = TreeModule(child)
            setattr(self, name, child)

    def forward(self, function: Callable[..., Any], *args: Any) -> Any:
        """Return `function(params, *args)`, where `params` is the tree of the current parameters."""
        return function(self.to_tree(), *args)

    def to_tree(self) -> Any:
        """Return the tree of the current parameters."""
        nodes = [getattr(self, name) for name in self.names]
        nodes = [node.to_tree() if isinstance(node, TreeModule) else node for node in nodes]
        return tuple(nodes) if self.kind is tuple else self.kind(**dict(zip(self.names, nodes, strict=True)))
