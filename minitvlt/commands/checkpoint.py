"""`minitvlt info` and `minitvlt convert`: what a checkpoint holds, and the same in another format."""

import argparse
import inspect
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from jaxtyping import Shaped

from minitvlt.backends import Array, flatten
from minitvlt.checkpoints.detect import FORMATS, guess_format, read_any
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.native import load_arrays, save
from minitvlt.checkpoints.released import CLASSIFIERS, EMOTIONS, from_mae, lost_settings, to_original
from minitvlt.commands.shared import add_command
from minitvlt.config import Config
from minitvlt.files import check_new
from minitvlt.model.parameters import Params

INFO_EXAMPLES = "  minitvlt info run/model.safetensors"
CONVERT_EXAMPLES = """\
  minitvlt convert TVLT.ckpt TVLT.safetensors
  minitvlt convert TVLT.safetensors TVLT-folder --to transformers
  minitvlt convert mae_pretrain_vit_base.pth start.safetensors"""
WRITERS: dict[str, Callable[[Params, Path], object]] = {
    "minitvlt": save,
    "transformers": to_huggingface,
    "original": to_original,
}
SUFFIXES = {".safetensors": "minitvlt", "": "transformers", ".ckpt": "original", ".pth": "original"}
SUFFIXES |= {".pt": "original", ".bin": "original"}
SETTINGS = ("num_attention_heads", "decoder_num_attention_heads", "classifier")


def add_commands(commands: argparse._SubParsersAction) -> None:
    """Declare both commands and their arguments."""
    parsers = [add_command(commands, info, INFO_EXAMPLES), add_command(commands, convert, CONVERT_EXAMPLES)]
    for parser in parsers:
        add = parser.add_argument
        add("source", help="a file, a folder of transformers, or a name on its hub")
        add("--heads", type=int, metavar="N", dest=SETTINGS[0], help="attention heads, if shapes do not tell")
        add("--decoder-heads", type=int, metavar="N", dest=SETTINGS[1], help="the same for the decoder")
        add("--classifier", choices=CLASSIFIERS, help="which one to read, if an original file holds both")
    add("target", type=Path, help="file or folder to write; it must not exist")
    add("--to", choices=WRITERS, help="format of the target (default: by its suffix)")


def info(arguments: argparse.Namespace) -> None:
    """Print what a checkpoint holds: its format, configuration, parts and arrays.

    Files of minitvlt, of transformers, of the released TVLT code and of ViT MAE pre-training are understood;
    of any other program the named arrays are listed. No code in a file is ever run.
    """
    path = arguments.source
    format = guess_format(path)
    if format is None:
        print(f"{path}: named arrays of an unknown program\n\narrays")
        print_arrays(load_arrays(path)[0])
        return
    found = read_any(path, format, **list_settings(arguments))
    held = {name: array for name, array in flatten(found.params).items() if name not in found.drawn}
    print(f"{path}: a checkpoint of {FORMATS[format]}\n")
    print_config(found.params.config)
    print("\nparts")
    for part in dict.fromkeys(name.partition(".")[0] for name in held):
        numbers = sum(array.size for name, array in held.items() if name.startswith(part + "."))
        print(f"  {part:10}  {numbers:>11,} numbers  {describe_part(part, found.params.config)}")
    labels = EMOTIONS if found.format == "original" and found.params.config.loss_type == "labels" else ()
    lists = {"missing, randomly initialised when read": found.drawn, "labels": labels}
    for title in filter(lists.get, lists):
        print(f"  {title}: {', '.join(lists[title])}")
    if found.format == "mae":
        print("\n" + inspect.getdoc(from_mae).split("\n\n")[2])
    print("\narrays")
    print_arrays(held)


def convert(arguments: argparse.Namespace) -> None:
    """Convert a checkpoint to the format of minitvlt, of transformers or of the released TVLT code.

    The source may also be of ViT MAE pre-training. The format of the target follows from its suffix: minitvlt
    for .safetensors, original for .ckpt, .pth, .pt and .bin, transformers for a name without a suffix. What
    was read, what is missing and what the target cannot hold is printed. Nothing is overwritten.
    """
    source, target = arguments.source, arguments.target
    format = arguments.to or find_format(target)
    check_new(target)
    found = read_any(source, **list_settings(arguments))
    WRITERS[format](found.params, target)
    print(f"Read {source} as a checkpoint of {FORMATS[found.format]}.")
    if found.drawn:
        print(f"Randomly initialised, because missing: {', '.join(found.drawn)}.")
    print(f"Wrote {target} as a checkpoint of {FORMATS[format]}.")
    print_losses(found.params, target, format)


def list_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """List what the user says about a source that holds arrays alone."""
    given = vars(arguments)
    return {name: given[name] for name in SETTINGS if given[name] is not None}


def find_format(target: Path) -> str:
    """Find the format that the suffix of a target stands for."""
    if target.suffix not in SUFFIXES:
        known = ", ".join(filter(None, SUFFIXES))
        raise ValueError(f"Expected --to, or a target that ends in {known} or has no suffix, got {target}.")
    return SUFFIXES[target.suffix]


def print_losses(params: Params, target: Path, format: str) -> None:
    """Print which settings of a model the file that was written does not hold, by reading it."""
    missing = lost_settings(params) if format == "original" else {}
    with warnings.catch_warnings(action="ignore"):  # they were shown when the file was written
        again = read_any(target, format, **missing).params.config.to_dict()
    before = params.config.to_dict()
    changed = {name: value for name, value in again.items() if value != before[name]}
    for text, settings in (
        ("Its readers must be given", missing),
        ("It cannot hold every setting, and will be read with", changed),
    ):
        if settings:
            print(f"{text}: {', '.join(f'{name}={value!r}' for name, value in settings.items())}.")


def print_config(config: Config) -> None:
    """Print every setting, with a star where it differs from the default."""
    standard = Config().to_dict()
    print("configuration (* differs from the published base model)")
    for name, value in config.to_dict().items():
        print(f"  {'*' if value != standard[name] else ' '} {name} = {value}")


def describe_part(part: str, config: Config) -> str:
    """Describe a part of a model in a few words."""
    return {
        "encoder": f"{config.num_hidden_layers} layers of width {config.hidden_size}",
        "decoder": f"{config.decoder_num_hidden_layers} layers of width {config.decoder_hidden_size}",
        "matching": "whether audio and video belong together",
        "classifier": f"num_labels {config.num_labels}, loss_type {config.loss_type}",
        "ranking": "which video fits the audio best",
    }[part]


def print_arrays(arrays: dict[str, Shaped[Array, "..."]]) -> None:
    """Print name, type and shape of each array, then how many there are."""
    width = max(map(len, arrays), default=0)
    for name, array in arrays.items():
        print(f"  {name:{width}}  {array.dtype}  {' × '.join(map(str, array.shape)) or 'scalar'}")
    print(f"\n{len(arrays)} arrays, {sum(array.size for array in arrays.values()):,} numbers")
