"""Print what a checkpoint holds: its configuration, and name, shape and type of every array."""

import argparse
import math
from pathlib import Path

from minitvlt.backends import flatten
from minitvlt.config import Config
from minitvlt.learning.checkpoints import load
from minitvlt.learning.huggingface import from_huggingface

EXAMPLE = "example:\n  minitvlt info run/model.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument(
        "checkpoint", type=Path, help="a file of minitvlt, or a folder in the format of transformers"
    )


def run(arguments: argparse.Namespace) -> None:
    """Print the configuration, then the arrays, then their number."""
    path = arguments.checkpoint
    params = from_huggingface(path) if path.is_dir() else load(path)
    standard = Config().to_dict()
    print(f"{path}\n\nconfiguration (* differs from the published base model)")
    for name, value in params.config.to_dict().items():
        print(f"  {'*' if value != standard[name] else ' '} {name} = {value}")
    arrays = flatten(params)
    width = max(map(len, arrays))
    print("\narrays")
    for name, array in arrays.items():
        print(f"  {name:{width}}  {array.dtype}  {' × '.join(map(str, array.shape))}")
    print(f"\n{len(arrays)} arrays, {sum(math.prod(array.shape) for array in arrays.values()):,} numbers")
