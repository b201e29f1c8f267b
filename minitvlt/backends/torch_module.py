"""Parameters as a `torch.nn.Module`: the door to DDP, FSDP, torch.compile and torch's optimizers.

The module holds nothing but the parameters, under the names that `flatten` gives them. It is called with any
function of parameters, such as `minitvlt.forward`, and hands it the tree that the function expects.
"""

from collections.abc import Callable
from functools import cache
from typing import Any

import torch
from torch import nn
from torch.distributed.tensor import DTensor

from minitvlt.backends.torch_backend import from_numpy
from minitvlt.backends.tree import children, field_names, is_array, map_tree


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


def to_module(params: Any) -> TreeModule:
    """Make a `torch.nn.Module` of a copy of some parameters, on NumPy or torch.

    `module(minitvlt.forward, video, audio)` is `minitvlt.forward(params, video, audio)`, with the parameters
    that the module has at that moment. The way back is `from_module`.

    Args:
        params: what `init` and `load` return, or any tree of frozen dataclasses.
    """
    return TreeModule(map_tree(lambda x: from_numpy(x).detach().clone(), params))


def from_module(module: nn.Module) -> Any:
    """Copy the parameters out of a module that `to_module` made, be it wrapped in DDP, FSDP or torch.compile.

    With sharded parameters every process calls this, and each gets all of them.

    Raises:
        ValueError: a module of another origin.
    """
    found = next((part for part in module.modules() if isinstance(part, TreeModule)), None)
    if found is None:
        raise ValueError(f"Expected a module that to_module made, got {type(module).__name__}.")
    return map_tree(lambda x: gather(x).clone(), found.to_tree(whole=True))


def gather(x: torch.Tensor) -> torch.Tensor:
    """Bring the shards of a tensor together; one that is whole is taken as it is."""
    x = x.detach()
    return x.full_tensor() if isinstance(x, DTensor) else x
