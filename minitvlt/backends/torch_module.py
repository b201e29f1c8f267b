"""Parameters as a `torch.nn.Module`; `to_module` makes one and `from_module` is the way back.

It holds nothing but the parameters, under the names that `flatten` gives them. It is called with any function
of parameters, such as `minitvlt.forward`, and hands it the tree that the function expects.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn

from minitvlt.backends.tree import children, field_names, is_array


class TreeModule(nn.Module):
    """A tree of frozen dataclasses as modules within modules; it shares the memory of the tree's tensors."""

    def __init__(self, node: Any) -> None:
        super().__init__()
        self.kind, self.names = type(node), field_names(type(node))
        for name, child in children(node):
            if is_array(child):
                self.register_parameter(name, nn.Parameter(child))
            elif isinstance(child, tuple):
                setattr(self, name, nn.ModuleList(map(UnitModule, child)))
            else:
                setattr(self, name, TreeModule(child) if children(child) else child)

    def forward(self, function: Callable[..., Any], *args: Any) -> Any:
        """Call `function(params, *args)` with the parameters as a tree."""
        return function(self.to_tree(), *args)

    def to_tree(self, whole: bool = False) -> Any:
        """Put the parameters as they are now into the tree's own classes.

        Args:
            whole: with the parameters of units, too; otherwise a stand-in takes the place of each.
        """

        def to_node(child: Any) -> Any:
            if isinstance(child, nn.ModuleList):
                return tuple(unit.to_tree(True) if whole else unit.stand_in for unit in child)
            return child.to_tree(whole) if isinstance(child, TreeModule) else child

        return self.kind(**{name: to_node(getattr(self, name)) for name in self.names})


class UnitModule(TreeModule):
    """A part that is used as a whole, by `run_part`: an element of a tuple, such as a transformer block.

    FSDP gathers its parameters when it is called and no sooner, so the tree holds a stand-in for it.
    """

    def __init__(self, node: Any) -> None:
        super().__init__(node)
        self.stand_in = object.__new__(_make_callable(self.kind))  # no field is set: it is called, not read
        object.__setattr__(self.stand_in, "unit", self)

    def forward(self, function: Callable[..., Any], x: torch.Tensor, *args: Any) -> Any:
        """Call `function(x, part, *args)` with this part's parameters."""
        return function(x, self.to_tree(), *args)


@cache
def _make_callable(kind: type) -> type:
    def call(self: Any, *args: Any) -> Any:
        return self.unit(*args)

    return type(kind.__name__, (kind,), {"__call__": call, "__hash__": object.__hash__})
