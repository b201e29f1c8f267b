"""The engine on PyTorch: precision, compilation, and several processes that share a batch.

Each process works through its rows of the batch, and gradients are added up over all of them while the
backward pass still runs, by DDP: every process holds all parameters.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import replace
from typing import Any

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from torch.optim.adamw import adamw

from minitvlt.backends import map_tree
from minitvlt.backends.torch_backend import from_numpy
from minitvlt.backends.torch_module import TreeModule
from minitvlt.model.parameters import Params
from minitvlt.training.engine import Compute, Engine, Execution, Numbers, Pieces
from minitvlt.training.optimizer import AdamWState, Recipe, compute_learning_rate, lay_out


class TorchEngine(Engine):
    """One process or several. `Engine` says what each method is for."""

    def __init__(self, params: Params, state: AdamWState, execution: Execution) -> None:
        if dist.is_initialized():
            self.rank, self.processes = dist.get_rank(), dist.get_world_size()
        self.execution, self.device = execution, params.encoder.cls.device
        super().__init__(params, state)
        self.module = TreeModule(self.finish())  # its parameters are views of the vector that AdamW updates
        named = dict(self.module.named_parameters())
        self.parameters = [named[name] for name, _ in lay_out(params)]
        self.gradient = torch.empty_like(self.state.parameters)
        self.call: nn.Module | None = None  # the module, wrapped
        if self.device.type == "cuda":
            self.ahead = 1
            self.steps, self.loading = torch.cuda.current_stream(self.device), torch.cuda.Stream(self.device)

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
        is_ddp, total = self.processes > 1, None
        for part in parts:
            with self.call.no_sync() if is_ddp and part is not parts[-1] else nullcontext():
                with self.autocast():
                    loss, numbers = self.call(function, part, counts)
                (loss * self.processes).backward()  # DDP takes the mean of the processes' gradients
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
        """Compile the module, and let it exchange gradients with other processes.

        In a compiled module torch exchanges the gradients of some layers while it computes those of others,
        as in one that is not compiled: it cuts the program where DDP's groups of gradients begin.
        """
        if self.execution.compile:
            self.module.compile()
        if self.processes == 1:
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
        return torch.cat([x.reshape(-1) for x in found], out=self.gradient)

    def add_up(self, numbers: Numbers) -> Numbers:
        """Add up numbers over all processes."""
        if self.processes == 1:
            return numbers
        names = [name for name, number in numbers.items() if number is not None]
        total = torch.stack([numbers[name] for name in names])
        dist.all_reduce(total)
        return {**numbers, **dict(zip(names, total.unbind(), strict=True))}

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
