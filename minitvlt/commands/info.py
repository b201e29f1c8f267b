"""Print what a checkpoint holds: whose format it has, its configuration, its parts, and every array.

Files of minitvlt, of transformers, of the released TVLT code and of ViT MAE pre-training are understood, and
of any other program the named arrays are listed. No code in a file ever runs.
"""

import argparse
from math import prod

from jaxtyping import Shaped

from minitvlt.backends import Array, flatten
from minitvlt.checkpoints.detect import FORMATS, guess_format, read_any
from minitvlt.checkpoints.native import read_tensors
from minitvlt.config import Config

EXAMPLE = "example:\n  minitvlt info run/model.safetensors"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    parser.add_argument("checkpoint", help="a file, a folder of transformers, or a name on its hub")
    parser.add_argument("--heads", type=int, help="attention heads, where shapes do not say them")
    parser.add_argument("--decoder-heads", type=int, help="the same for the decoder")


def run(arguments: argparse.Namespace) -> None:
    """Print the format, the configuration, the parts, then the arrays and their number."""
    path = arguments.checkpoint
    format = guess_format(path)
    if format is None:
        print(f"{path}: named arrays of a program that is not known here\n\narrays")
        print_arrays(read_tensors(path))
        return
    heads = {
        "num_attention_heads": arguments.heads,
        "decoder_num_attention_heads": arguments.decoder_heads,
    }
    given = {name: value for name, value in heads.items() if value is not None}
    found = read_any(path, format, **given)
    config, arrays = found.params.config, flatten(found.params)
    held = {name: array for name, array in arrays.items() if name not in found.drawn}
    print(f"{path}: a checkpoint of {FORMATS[format]}\n")
    print_config(config)
    print("\nparts")
    for part in dict.fromkeys(name.partition(".")[0] for name in held):
        sizes = [array.size for name, array in held.items() if name.startswith(part + ".")]
        print(f"  {part:10}  {sum(sizes):>11,} numbers  {describe_part(part, config)}")
    if found.drawn:
        print(f"  not held, drawn anew when it is read: {', '.join(found.drawn)}")
    print("\narrays")
    print_arrays(held)


def print_config(config: Config) -> None:
    """Print every setting, with a star where it differs from the default."""
    standard = Config().to_dict()
    print("configuration (* differs from the published base model)")
    for name, value in config.to_dict().items():
        print(f"  {'*' if value != standard[name] else ' '} {name} = {value}")


def describe_part(part: str, config: Config) -> str:
    """Say in a few words what a part of a model is."""
    return {
        "encoder": f"{config.num_hidden_layers} layers of width {config.hidden_size}",
        "decoder": f"{config.decoder_num_hidden_layers} layers of width {config.decoder_hidden_size}",
        "matching": "do sound and video belong together?",
        "classifier": f"num_labels {config.num_labels}, loss_type {config.loss_type}",
        "ranking": "which video fits the sound best?",
    }[part]


def print_arrays(arrays: dict[str, Shaped[Array, "..."]]) -> None:
    """Print name, type and shape of each array, then how many there are."""
    width = max(map(len, arrays), default=0)
    for name, array in arrays.items():
        print(f"  {name:{width}}  {array.dtype}  {' × '.join(map(str, array.shape)) or 'one number'}")
    print(f"\n{len(arrays)} arrays, {sum(prod(array.shape) for array in arrays.values()):,} numbers")
