"""Training runs that several processes share; torchrun starts this file in each of them.

    torchrun --nproc-per-node 2 -m tests.helpers.shared_training FOLDER '{"name": {"dtype": "bfloat16"}, ...}'

Each entry is a run in a folder of its name. Beside `dtype` and `compile` it may have other values of the
recipe and the configuration, and `{"killed": [rank, call]}`: the process of that rank kills itself when it
starts to compute for that many times. With `compile`, programs are traced and then run by PyTorch as they
are, which is faster than to compile them and needs no compiler.
"""

import json
import os
import signal
import sys
from functools import partialmethod
from pathlib import Path
from typing import Any

import minitvlt as mt
from minitvlt.training import trainer

STEPS = 20
SAVE_EVERY = 4


def run_training(
    folder: Path, recipe: dict[str, Any] | None = None, config: dict[str, Any] | None = None, **options: Any
) -> None:
    """Train the tiny model for 20 steps: alone or, where torchrun started this process, with others."""
    trainer.SAVE_EVERY = SAVE_EVERY
    config = mt.Config.tiny(**(config or {}))
    recipe = mt.Recipe(**{"steps": STEPS, "batch_size": 16, "warmup_steps": 5, **(recipe or {})})
    params = mt.to_backend(mt.init(config), "torch")
    params = mt.train(params, mt.ShapesWorld(config), recipe, folder, False, **options)
    if os.environ.get("RANK", "0") == "0":
        mt.save(params, folder / "model.safetensors")


def kill_at(rank: int, call: int) -> None:
    """Let one process die while the others compute."""
    from minitvlt.training.torch_trainer import TorchTrainer

    compute, calls = TorchTrainer.compute, []

    def counted(*arguments: Any) -> Any:
        calls.append(None)
        if len(calls) == call and int(os.environ["RANK"]) == rank:
            os.kill(os.getpid(), signal.SIGKILL)
        return compute(*arguments)

    TorchTrainer.compute = counted


def main() -> None:
    """Run the trainings one after the other, in one group of processes."""
    import torch
    import torch.distributed as dist

    from minitvlt.training import torch_trainer

    torch_trainer.check_torch = lambda *_: None
    torch.nn.Module.compile = partialmethod(torch.nn.Module.compile, backend="eager")
    dist.init_process_group("gloo")
    for name, values in json.loads(sys.argv[2]).items():
        if "killed" in values:
            kill_at(*values.pop("killed"))
        run_training(Path(sys.argv[1]) / name, **values)
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
