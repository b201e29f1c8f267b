"""Convert a checkpoint: from minitvlt, transformers, the released TVLT code or ViT MAE pre-training to one of
the first three. What is read, left over and drawn anew is said; nothing is overwritten.
"""

import argparse
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from minitvlt.backends import walk
from minitvlt.checkpoints.detect import FORMATS, Checkpoint, read_any
from minitvlt.checkpoints.huggingface import to_huggingface
from minitvlt.checkpoints.native import save
from minitvlt.checkpoints.released import CLASSIFIERS, lost_settings, to_original
from minitvlt.config import Config
from minitvlt.files import check_new
from minitvlt.model.parameters import Params

EXAMPLE = """examples:
  minitvlt convert TVLT.ckpt TVLT.safetensors
  minitvlt convert TVLT.safetensors TVLT-folder --to transformers
  minitvlt convert mae_pretrain_vit_base.pth start.safetensors"""

WRITERS: dict[str, Callable[[Params, Path], object]] = {
    "minitvlt": save,
    "transformers": to_huggingface,
    "original": to_original,
}
# The ending of a target says its format, unless --to does.
ENDINGS = {".safetensors": "minitvlt", "": "transformers"} | dict.fromkeys(
    (".ckpt", ".pth", ".pt", ".bin"), "original"
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the arguments."""
    add = parser.add_argument
    add("source", help="a file, a folder of transformers, or a name on its hub (somebody/something)")
    add("target", type=Path, help="the file or folder to write; it must not be there")
    add("--from", dest="source_format", choices=FORMATS, help="default: guessed from what the source holds")
    add(
        "--to",
        dest="target_format",
        choices=WRITERS,  # not mae, which has no place for sound
        help="default: minitvlt for .safetensors, original for .ckpt, .pth, .pt and .bin, transformers for a "
        "name without an ending",
    )
    add(
        "--heads",
        type=int,
        help="attention heads of the encoder, where the source cannot say (original, mae)",
    )
    add("--decoder-heads", type=int, help="the same for the decoder")
    add("--classifier", choices=CLASSIFIERS, help="which one to read, where an original file holds both")


def run(arguments: argparse.Namespace) -> None:
    """Read, say what there is, write, and read again what was written."""
    source, target = arguments.source, arguments.target
    target_format = choose_target_format(target, arguments.target_format)
    check_new(target)
    found = read_any(source, arguments.source_format, **collect_settings(arguments))
    was_guessed = " (guessed)" if arguments.source_format is None else ""
    print(f"Read {source} as a checkpoint of {FORMATS[found.format]}{was_guessed}: {describe(found)}.")
    if found.drawn:
        print(f"Drawn anew, as it does not hold them: {', '.join(found.drawn)}.")
    WRITERS[target_format](found.params, target)
    untold = lost_settings(found.params) if target_format == "original" else {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what there is to say was said when it was written
        again = read_any(target, target_format, **untold).params
    changed = list_changes(found.params.config, again.config)
    print(f"Wrote {target} as a checkpoint of {FORMATS[target_format]}.")
    if untold:
        print(f"Whoever reads it must be told: {_join(untold)}.")
    if changed:
        print(f"It cannot hold every setting, and will be read with: {_join(changed)}.")


def choose_target_format(target: Path, chosen: str | None) -> str:
    """Take the format that was asked for, or the one that the ending of the target stands for."""
    if chosen is None and target.suffix not in ENDINGS:
        raise ValueError(
            f"The ending of {target} stands for no format: expected {', '.join(filter(None, ENDINGS))} or "
            "none, or choose by --to."
        )
    return chosen or ENDINGS[target.suffix]


def collect_settings(arguments: argparse.Namespace) -> dict[str, Any]:
    """Gather what the user says about a source that holds arrays alone."""
    given = {
        "num_attention_heads": arguments.heads,
        "decoder_num_attention_heads": arguments.decoder_heads,
        "classifier": arguments.classifier,
    }
    return {name: value for name, value in given.items() if value is not None}


def describe(found: Checkpoint) -> str:
    """Say in a few words what a checkpoint holds."""
    held = {name: array for name, array in walk(found.params) if name not in found.drawn}
    parts = dict.fromkeys(name.partition(".")[0] for name in held)
    return f"{len(held)} arrays, {sum(array.size for array in held.values()):,} numbers, {', '.join(parts)}"


def list_changes(before: Config, after: Config) -> dict[str, Any]:
    """List the settings that are read with another value than they had."""
    values = before.to_dict()
    return {name: value for name, value in after.to_dict().items() if value != values[name]}


def _join(settings: dict[str, Any]) -> str:
    return ", ".join(f"{name}={value!r}" for name, value in settings.items())
