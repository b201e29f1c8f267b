"""What only PyTorch can do or tell: precision, compilation, the graphics card's clock and memory."""

from collections.abc import Callable
from typing import Any

import torch

from minitvlt.bench.contenders import Contender


def wrap(function: Callable[..., Any], contender: Contender, autocasts: bool = True) -> Callable[..., Any]:
    """Run a function of a model as the contender does: compiled, or with products rounded to bfloat16.

    Args:
        function: the forward pass; the way back from it is not touched.
        contender: how it computes.
        autocasts: whether PyTorch rounds what goes into each product; False where the parameters are rounded.
    """
    fast = torch.compile(function) if contender.is_compiled else function
    is_rounded = autocasts and contender.precision == "bfloat16"

    def run(*args: Any, **kwargs: Any) -> Any:
        with torch.autocast(contender.device, torch.bfloat16, enabled=is_rounded):
            return fast(*args, **kwargs)

    return run


def finish(run: Callable[[], Any], contender: Contender, trains: bool) -> Callable[[], Any]:
    """Keep nothing for a gradient unless it trains, and wait until the device has done it."""

    def run_and_wait() -> Any:
        with torch.inference_mode(not trains):
            result = run()
        wait(contender.device)
        return result

    return run_and_wait


def wait(device: str) -> None:
    """Let a graphics card finish what it was told to do."""
    if device == "cuda":
        torch.cuda.synchronize()  # pragma: no cover


def make_product(contender: Contender, n: int) -> Callable[[], None]:
    """Make two square matrices in the contender's precision, and return what multiplies them."""
    a, b, c = torch.randn(3, n, n, device=contender.device).to(getattr(torch, contender.precision))

    def multiply() -> None:
        torch.matmul(a, b, out=c)
        wait(contender.device)

    return multiply


def find_card() -> str | None:
    """Name the graphics card; None where there is none that CUDA can use."""
    return torch.cuda.get_device_name() if torch.cuda.is_available() else None


def measure_card_peak() -> int:
    """The most memory that tensors on the graphics card have taken, in bytes."""
    return torch.cuda.max_memory_allocated()


def fits(attempt: Callable[[], Any]) -> bool:
    """Tell whether something can be done with the memory of the graphics card."""
    try:
        attempt()
        return True
    except torch.OutOfMemoryError:
        return False
    finally:
        torch.cuda.empty_cache()
        if torch.cuda.is_available():  # pragma: no cover
            torch.cuda.reset_peak_memory_stats()
        torch.compiler.reset()  # what was compiled for another size takes memory alone
