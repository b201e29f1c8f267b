"""The engine on PyTorch: precision, compilation, and several processes that share a batch.

Each process works through its rows of the batch, and gradients are added up over all of them while the
backward pass still runs: by DDP where every process holds all parameters, by FSDP where each holds a share.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
from jaxtyping import Float, Shaped
from torch import nn
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from torch.optim.adamw import adamw

from minitvlt.backends import map_tree
from minitvlt.backends.torch_backend import from_numpy
from minitvlt.backends.torch_module import TreeModule, UnitModule
from minitvlt.learning.engine import Compute, Engine, Execution, Numbers, Pieces
from minitvlt.learning.optimizer import AdamWState, Recipe, compute_learning_rate, count_decaying, lay_out
from minitvlt.learning.torch_sharding import cut_shares, join_shares, shard_module, store_shares
from minitvlt.model.parameters import Params


class TorchEngine(Engine):
    """One process or several. `Engine` says what each method is for."""

    def __init__(self, params: Params, state: AdamWState, execution: Execution) -> None:
        if dist.is_initialized():
            self.rank, self.processes = dist.get_rank(), dist.get_world_size()
        self.execution, self.is_sharded = execution, execution.shard
        self.device = params.encoder.cls.device
        super().__init__(params, state)
        # Where nothing is sharded, the module's parameters are views of the vector that AdamW updates.
        self.module = TreeModule(params if self.is_sharded else self.finish())
        if self.is_sharded:
            shard_module(self.module, self.device.type)
        named = dict(self.module.named_parameters())
        self.parameters = [named[name] for name, _ in lay_out(params)]
        if self.is_sharded:
            store_shares(self.state.parameters, self.parameters)
            self.decaying = count_decaying({name: x.to_local() for name, x in named.items()})
        self.gradient = torch.empty_like(self.state.parameters)
        self.call: nn.Module | None = None  # the module, wrapped
        if self.device.type == "cuda":
            self.ahead = 1
            self.steps, self.loading = torch.cuda.current_stream(self.device), torch.cuda.Stream(self.device)

    def place(self, vector: Shaped[np.ndarray, "n"]) -> Shaped[torch.Tensor, "_"]:
        """Bring a vector, or this process's share of it, to the device."""
        if not self.is_sharded:
            return super().place(vector)
        return cut_shares(torch.from_numpy(vector), self.like).to(self.device)

    def join(self, vector: Float[torch.Tensor, "_"]) -> Float[torch.Tensor, "n"]:
        """Make a vector of all processes' shares."""
        return join_shares(vector, self.parameters) if self.is_sharded else vector

    def move(self, tree: Any) -> Any:
        """Bring a part of a batch to the device, on a card beside the steps, which go on meanwhile."""
        if self.device.type != "cuda":
            return super().move(tree)
        with torch.cuda.stream(self.loading):
            moved = map_tree(lambda x: from_numpy(x).pin_memory().to(self.device, non_blocking=True), tree)
        self.loading.synchronize()  # the thread that draws waits, nobody else
        map_tree(lambda x: x.record_stream(self.steps), moved)  # the memory is theirs until they are done
        return moved

    def differentiate(self, function: Compute, parts: list[Any], counts: Any) -> tuple[Numbers, Pieces]:
        """Add up the value, what comes beside it and the gradient, over parts and over processes."""
        counts = self.make_tensors(counts)
        self.call = self.call or self.wrap(function, parts[0], counts)
        is_ddp, total = self.processes > 1 and not self.is_sharded, None
        for part in parts:
            with self.call.no_sync() if is_ddp and part is not parts[-1] else nullcontext():
                with self.autocast():
                    loss, numbers = self.call(function, part, counts)
                (loss * self.processes).backward()  # DDP and FSDP take the mean of the processes' gradients
            found = map_tree(lambda x: x.detach(), {"loss": loss, **numbers})
            total = found if total is None else map_tree(torch.add, total, found)
        return self.add_up(total), [self.take_gradient()]

    def make_tensors(self, counts: Any) -> Any:
        """Turn counts into tensors: numbers would be part of a compiled program, and it fit no others."""
        if isinstance(counts, float):
            return torch.full((), counts, device=self.device)
        return replace(counts, **{name: self.make_tensors(count) for name, count in vars(counts).items()})

    def autocast(self) -> torch.autocast:
        """Compute products in the precision that was asked for."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.execution.dtype == "bfloat16")

    def wrap(self, function: Compute, part: Any, counts: Any) -> nn.Module:
        """Make the module exchange gradients with other processes, and compile it.

        Alone it is compiled as a whole. Among others each block is by itself: its parameters may have to be
        gathered first, and its gradients can be exchanged while those of the blocks before it are computed.
        """
        if self.execution.compile:
            torch._dynamo.config.optimize_ddp = False  # would cut the blocks into pieces
            blocks = [part for part in self.module.modules() if isinstance(part, UnitModule)]
            for one in blocks if dist.is_initialized() else [self.module]:
                one.compile()
        if self.processes == 1 or self.is_sharded:
            return self.module
        self.spare_unused(function, part, counts)
        return DistributedDataParallel(self.module, gradient_as_bucket_view=True)

    def spare_unused(self, function: Compute, part: Any, counts: Any) -> None:
        """Tell DDP not to wait for gradients of parameters that the loss does not depend on."""
        with self.autocast():
            loss, _ = self.module(function, part, counts)
        found = torch.autograd.grad(loss, self.parameters, allow_unused=True)
        for x, gradient in zip(self.parameters, found, strict=True):
            x.requires_grad_(gradient is not None)

    def take_gradient(self) -> Float[torch.Tensor, "_"]:
        """Lay the gradients end to end and forget them; what the loss does not depend on has zeros."""
        found = [torch.zeros_like(x) if x.grad is None else x.grad for x in self.parameters]
        for x in self.parameters:
            x.grad = None
        flat = [(x.to_local() if isinstance(x, DTensor) else x).detach().reshape(-1) for x in found]
        return torch.cat(flat, out=self.gradient)

    def add_up(self, numbers: Numbers) -> Numbers:
        """Add up numbers over all processes."""
        if self.processes == 1:
            return numbers
        names = [name for name, number in numbers.items() if number is not None]
        total = torch.stack([numbers[name] for name in names])
        dist.all_reduce(total)
        return {**numbers, **dict(zip(names, total.unbind(), strict=True))}

    def sum_shares(self, number: Float[torch.Tensor, ""]) -> Float[torch.Tensor, ""]:
        """Add up a number over the shares of the state."""
        return self.add_up({"number": number})["number"] if self.is_sharded else number

    def move_parameters(
        self, gradient: Pieces, scale: Float[torch.Tensor, ""], step: int, recipe: Recipe
    ) -> None:
        """Take the step by torch's own kernel, which changes nothing where it is told of an infinity."""
        state, rate = self.state, compute_learning_rate(step, recipe)
        vectors = (state.parameters, *gradient, state.mean, state.square)
        parts = ((slice(self.decaying), recipe.weight_decay), (slice(self.decaying, None), 0.0))
        for part, weight_decay in parts:
            adamw(
                *([vector[part]] for vector in vectors),
                max_exp_avg_sqs=[],
                state_steps=[torch.full((), float(step), device=self.device)],
                fused=True,
                grad_scale=(1 / scale).float(),  # gradients are divided by it
                found_inf=(~self.is_fine).float(),
                amsgrad=False,
                beta1=recipe.beta1,
                beta2=recipe.beta2,
                lr=rate,
                weight_decay=weight_decay,
                eps=1e-8,
                maximize=False,
            )
        if self.is_sharded:
            store_shares(state.parameters, self.parameters)

    def read_later(self, numbers: Numbers) -> Callable[[], dict[str, float | None]]:
        """Begin to bring numbers to the host; the function that is returned waits for them."""
        if self.device.type != "cuda":
            return super().read_later(numbers)
        names = [name for name, number in numbers.items() if number is not None]
        on_host = torch.stack([numbers[name] for name in names]).to("cpu", non_blocking=True)
        has_come = self.steps.record_event()

        def read() -> dict[str, float | None]:
            has_come.synchronize()
            return {**numbers, **dict(zip(names, on_host.tolist(), strict=True))}

        return read
