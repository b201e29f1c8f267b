"""Training on PyTorch: autocast, torch.compile, DDP, loading in the background, fused AdamW.

Under torchrun every process draws the same batch and computes its share of the clips; DDP sums gradients over
the processes while the backward pass still runs.
"""

import os
from contextlib import nullcontext
from dataclasses import is_dataclass, replace
from typing import Any

import torch
import torch.distributed as dist
from torch import nn
from torch.nn.parallel import DistributedDataParallel

from minitvlt.backends import map_tree, to_backend, walk
from minitvlt.backends.torch_backend import from_numpy
from minitvlt.backends.torch_module import TreeModule
from minitvlt.training.optimizer import AdamWState, Recipe, compute_learning_rate, decays
from minitvlt.training.trainer import Trainer


class TorchTrainer(Trainer):
    """A training run on PyTorch, in one process or in those that torchrun started"""

    library, draws_ahead = "torch", True

    def __post_init__(self) -> None:
        self.device = self.params.encoder.cls.device
        self.params = to_backend(self.params, "numpy")  # until the state has been loaded
        if "WORLD_SIZE" in os.environ or dist.is_initialized():
            self.join_processes()
        super().__post_init__()
        self.state: AdamWState = to_backend(self.state, "torch", str(self.device))
        self.params = self.state.parameters
        self.module = TreeModule(self.params)  # its parameters share the memory of the tensors
        self.parameters = dict(self.module.named_parameters())
        self.optimizer = self.start_optimizer()
        self.call: nn.Module | None = None  # the module, compiled and in DDP
        if self.compile:
            self.module.compile()

    def start_optimizer(self) -> torch.optim.AdamW:
        """Let torch's fused AdamW update the tensors of the state."""
        recipe, moments, groups = self.recipe, {}, ([], [])
        trees = (self.state.mean, self.state.square)
        for (name, mean), (_, square) in zip(*map(walk, trees), strict=True):
            x, step = self.parameters[name], torch.full((), float(self.steps_done), device=self.device)
            moments[x] = {"step": step, "exp_avg": mean, "exp_avg_sq": square}
            groups[decays(name, x)].append(x)
        kinds = [{"params": groups[0], "weight_decay": 0.0}, {"params": groups[1]}]
        betas, decay = (recipe.beta1, recipe.beta2), recipe.weight_decay
        optimizer = torch.optim.AdamW(kinds, betas=betas, eps=1e-8, weight_decay=decay, fused=True)
        optimizer.state.update(moments)
        return optimizer

    def join_processes(self) -> None:
        """Form a group with the other processes, and leave it after the run."""

        def leave(error: type[BaseException] | None, *_: Any) -> None:
            if error is None:  # otherwise it might wait for processes that have ended
                dist.destroy_process_group()

        if not dist.is_initialized():
            if self.device.type == "cuda":
                torch.cuda.set_device(self.device)
            dist.init_process_group("nccl" if self.device.type == "cuda" else "gloo")
            self.stack.push(leave)
        self.rank, self.processes = dist.get_rank(), dist.get_world_size()

    def draw(self, step: int) -> tuple[list[Any], Any]:
        """Draw the batch of a step; return this process's micro-batches, on its device, and the counts."""
        shares, counts = super().draw(step)
        parts = shares[self.rank]
        if self.device.type == "cuda":
            parts = map_tree(lambda x: from_numpy(x).pin_memory().to(self.device, non_blocking=True), parts)
        return to_backend(parts, "torch", str(self.device)), counts

    def compute(self, parts: list[Any], counts: Any) -> tuple[float, dict[str, Any], float, list[Any]]:
        """Compute the loss, the numbers to log, the norm of the gradient and the gradients of a batch."""
        function, inputs, total = self.objective.compute, self.make_tensors(counts), None
        self.call = self.call or self.share_gradients(parts[0], inputs)
        for part in parts:
            waits = self.processes > 1 and part is not parts[-1]  # DDP sums over processes once, at the end
            with self.call.no_sync() if waits else nullcontext():
                with self.autocast():
                    loss, numbers = self.call(function, part, inputs)
                (loss * self.processes).backward()  # DDP takes the mean over processes
            found = map_tree(torch.Tensor.detach, {"loss": loss, **numbers})
            total = found if total is None else map_tree(torch.add, total, found)
        names, values = zip(*walk(total), strict=True)
        sums = torch.stack(values)
        if self.processes > 1:
            dist.all_reduce(sums)
        numbers = dict.fromkeys(total) | dict(zip(names, sums.tolist(), strict=True))
        for x in self.parameters.values():
            x.grad = torch.zeros_like(x) if x.grad is None else x.grad
        gradients = [x.grad for x in self.parameters.values()]
        return numbers.pop("loss"), numbers, float(nn.utils.get_total_norm(gradients)), gradients

    def make_tensors(self, counts: Any) -> Any:
        """Turn counts into tensors: torch.compile would make another program for every number."""
        if is_dataclass(counts):
            return replace(counts, **{name: self.make_tensors(count) for name, count in vars(counts).items()})
        return torch.full((), counts, device=self.device) if isinstance(counts, float) else counts

    def autocast(self) -> torch.autocast:
        """Compute matrix products in `dtype`."""
        return torch.autocast(self.device.type, torch.bfloat16, enabled=self.dtype == "bfloat16")

    def share_gradients(self, part: Any, counts: Any) -> nn.Module:
        """Let DDP sum gradients over processes, but for parameters that the loss does not depend on."""
        if self.processes == 1:
            return self.module
        parameters = list(self.parameters.values())
        with self.autocast():
            loss, _ = self.module(self.objective.compute, part, counts)
        found = torch.autograd.grad(loss, parameters, allow_unused=True)
        for x, gradient in zip(parameters, found, strict=True):
            x.requires_grad_(gradient is not None)  # DDP would wait for it
        return DistributedDataParallel(self.module, gradient_as_bucket_view=True)

    def apply_adamw(self, _: Any, gradients: list[Any], scale: float, step: int, recipe: Recipe) -> None:
        """Take one step of AdamW."""
        torch._foreach_mul_(gradients, scale)
        for group in self.optimizer.param_groups:
            group["lr"] = compute_learning_rate(step, recipe)
        self.optimizer.step()
        self.optimizer.zero_grad()


def check_torch(device: str, dtype: str, compile: bool) -> None:
    """Raise a ValueError for a dtype or a compiler that this machine does not have."""
    is_able = not device.startswith("cuda") or torch.cuda.is_bf16_supported(including_emulation=False)
    if dtype == "bfloat16" and not is_able:
        raise ValueError(f"The GPU {device} does not compute in bfloat16: leave dtype out.")
    try:
        if compile:
            torch.compile(torch.neg)(torch.ones(2, device=device))
    except Exception as error:  # a compiler, Triton, Python's headers: many things may be missing
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"torch.compile does not work here: leave compile out. It says: {reason}") from None
