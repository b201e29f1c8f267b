"""What comes before a run on PyTorch: can it do what was asked for, and where are the other processes?"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch
import torch.distributed as dist

from minitvlt.training.engine import Execution
from minitvlt.training.processes import is_one_of_several


def check_torch(execution: Execution, device: str) -> None:
    """Refuse what this machine, or the way that this process was started, does not allow."""
    is_able = not device.startswith("cuda") or torch.cuda.is_bf16_supported(including_emulation=False)
    if execution.dtype == "bfloat16" and not is_able:
        raise ValueError(f"The card {device} does not compute in bfloat16: leave dtype out.")
    if execution.compile:
        check_compiler(device)


@cache
def check_compiler(device: str) -> None:
    """Compile something small, so that a run does not begin where torch.compile cannot work."""
    try:
        torch.compile(torch.neg)(torch.ones(2, device=device))
    except Exception as error:  # there is no end of what may be missing: a compiler, Triton, Python's headers
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(f"torch.compile does not work here: leave compile out. It says: {reason}") from None


@contextmanager
def join_processes(device: str) -> Iterator[None]:
    """Where torchrun started this process, work together with the others as long as this lasts."""
    if dist.is_initialized() or not is_one_of_several():
        yield
        return
    if device.startswith("cuda"):
        torch.cuda.set_device(device)
    dist.init_process_group("nccl" if device.startswith("cuda") else "gloo")
    yield
    dist.destroy_process_group()  # not after an error: it might wait for processes that are no more
