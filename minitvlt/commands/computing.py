"""What computes a run: the arguments that `pretrain` and `finetune` share, and what is made of them."""

import argparse

from minitvlt.backends import to_backend
from minitvlt.model.parameters import Params
from minitvlt.training.processes import find_device
from minitvlt.training.runs import Settings
from minitvlt.training.trainer import check_training


def add_computing_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments; None says nothing: then the default holds, or what the run has."""
    add = parser.add_argument
    add("--backend", choices=("numpy", "torch"), help="what computes (default: numpy)")
    add("--device", help='where torch computes, for instance "cuda" (default: cpu)')
    add("--dtype", choices=("float32", "bfloat16"), help="precision of torch's products (default: float32)")
    add("--compile", action="store_true", default=None, help="let torch.compile make each step faster")


def place_params(params: Params, settings: Settings) -> Params:
    """Bring parameters to where the run computes; refuse what cannot be had here."""
    params = to_backend(params, settings.backend, find_device(settings.device))
    check_training(params, settings.recipe, settings.dtype, settings.compile)
    return params
