"""Trainings that several processes share; torchrun starts this file in each of them.

    torchrun --nproc-per-node 2 -m tests.helpers.shared_training FOLDER '{"name": {"dtype": "bfloat16"}, ...}'

Each entry is a training in a folder of its name. Beside the fields of `Execution` it may say other values of
the recipe and the configuration, and `{"killed": [rank, call]}`: the process of that rank kills itself when
it begins to compute for the so-manieth time. With `compile`, programs are traced and then run by PyTorch as
they are, which is faster than to compile them and needs no compiler.
"""

import json
import os
import signal
import sys
from functools import partialmethod
from pathlib import Path
from typing import Any

import minitvlt as mt
from minitvlt.training import engine, trainer
from minitvlt.training.processes import is_first

STEPS = 20
SAVE_EVERY = 4


def run_training(
    folder: Path, recipe: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **execution: Any
) -> None:
    """Train the tiny model for 20 steps: alone or, where torchrun started this process, with others."""
    trainer.SAVE_EVERY = SAVE_EVERY
    geometry = mt.Config.tiny(**(config or {}))
    values = {"steps": STEPS, "batch_size": 16, "warmup_steps": 5, **(recipe or {})}
    params = mt.to_backend(mt.init(geometry), "torch")
    params = mt.train(
        params,
        mt.ShapesWorld(geometry),
        mt.Recipe(**values),
        folder,
        show_progress=False,
        execution=mt.Execution(**execution),
    )
    if is_first():
        mt.save(params, folder / "model.safetensors")


def kill_at(rank: int, call: int) -> None:
    """Let one process die while the others are at work."""
    compute, calls = engine.Engine.compute, []

    def counted(*arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == call and int(os.environ["RANK"]) == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return compute(*arguments)

    engine.Engine.compute = counted


def main() -> None:
    """Run the trainings one after the other, in one group of processes."""
    import torch
    import torch.distributed as dist

    from minitvlt.training import torch_processes

    torch_processes.check_compiler = lambda device: None
    torch.nn.Module.compile = partialmethod(torch.nn.Module.compile, backend="eager")
    dist.init_process_group("gloo")
    for name, values in json.loads(sys.argv[2]).items():
        if "killed" in values:
            kill_at(*values.pop("killed"))
        run_training(Path(sys.argv[1]) / name, **values)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
