"""What names and shapes of arrays say about a model whose file says nothing else."""

from collections.abc import Callable, Mapping
from math import isqrt
from typing import Any

import numpy as np
from jaxtyping import Shaped

from minitvlt.config import Config

Arrays = dict[str, Shaped[np.ndarray, "..."]]
HEAD_WIDTHS = {"": 64, "decoder_": 32}  # of the published base models: no shape says how many heads there are


def strip_prefix(arrays: Arrays, anchor: str, source: str) -> Arrays:
    """Take off names what a wrapper put before them, such as `transformer.`: all that stands before `anchor`.

    Names without that prefix stay as they are.

    >>> list(strip_prefix({"net.norm.bias": np.ones(2), "step": np.ones(1)}, "norm.bias", "a file"))
    ['norm.bias', 'step']

    Raises:
        ValueError: no such name, the same one behind several prefixes, or two names that become one.
    """
    prefixes = [name.removesuffix(anchor) for name in arrays if f".{name}".endswith(f".{anchor}")]
    if len(prefixes) != 1:
        some = f"{len(prefixes)} of them, behind {prefixes}" if prefixes else f"only {', '.join(arrays):.100}"
        raise ValueError(f"{source}: expected one {anchor}, bare or behind a prefix, but there are {some}.")
    bare: Arrays = {}
    for name, array in arrays.items():
        short = name.removeprefix(prefixes[0])
        if short in bare:
            raise ValueError(
                f"{source} holds {short} twice, with and without {prefixes[0]}: keep one of them."
            )
        bare[short] = array
    return bare


def get_shape(arrays: Arrays, name: str, axes: int, source: str) -> tuple[int, ...]:
    """Return the shape of a named array, which must be there, with that many axes and not empty."""
    if name not in arrays:
        raise ValueError(f"{source} lacks {name}.")
    shape = arrays[name].shape
    if len(shape) != axes or 0 in shape:
        raise ValueError(
            f"{source}: {name} has the shape {shape}: expected {axes} axes, each of at least one row."
        )
    return shape


def deduce_blocks(arrays: Arrays, source: str, has_decoder: bool) -> dict[str, Any]:
    """Tell widths and layers of the encoder, and of the decoder, by the names that both programs give."""
    deduced = {
        "hidden_size": get_shape(arrays, "cls_token", 3, source)[2],
        "qkv_bias": True,
        "final_norm": True,
    }
    if has_decoder:
        deduced["decoder_hidden_size"] = get_shape(arrays, "decoder_embed.weight", 2, source)[0]
    for beginning in ["", "decoder_"] if has_decoder else [""]:
        start = f"{beginning}blocks."
        indices = {name.removeprefix(start).partition(".")[0] for name in arrays if name.startswith(start)}
        deduced[f"{beginning}num_hidden_layers"] = len(indices)
        width = get_shape(arrays, f"{start}0.mlp.fc1.weight", 2, source)[0]
        deduced[f"{beginning}intermediate_size"] = width
    return deduced


def deduce_image_size(
    rows: int, patch: tuple[int, int], settings: Mapping[str, Any], source: str
) -> int | tuple[int, int]:
    """Tell the size of frames by the rows of their position table: square, unless `settings` say other."""
    if "image_size" in settings:
        return settings["image_size"]
    side = isqrt(rows)
    if side * side != rows:
        raise ValueError(
            f"{source}: the position table of frames has {rows} rows, which is no square: give image_size "
            "as (height, width)."
        )
    return side * patch[0] if patch[0] == patch[1] else (side * patch[0], side * patch[1])


def make_config(
    preset: Callable[..., Config],
    guessed: Mapping[str, Any],
    deduced: Mapping[str, Any],
    settings: Mapping[str, Any],
    source: str,
) -> Config:
    """Make a configuration of what arrays say (`deduced`), what the user says, and guesses about the rest.

    Raises:
        ValueError: settings that contradict the arrays or are none, or heads that nobody can guess.
    """
    check_settings(deduced, settings, source)
    heads = {
        f"{beginning}num_attention_heads": guess_heads(deduced, beginning, source)
        for beginning in HEAD_WIDTHS
        if f"{beginning}hidden_size" in deduced and f"{beginning}num_attention_heads" not in settings
    }
    try:
        return preset(**heads | dict(guessed) | dict(deduced) | dict(settings))
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None


def guess_heads(deduced: Mapping[str, Any], beginning: str, source: str) -> int:
    """Guess the number of heads by the width of one in the published base models."""
    width, head_width = deduced[f"{beginning}hidden_size"], HEAD_WIDTHS[beginning]
    if width % head_width:
        field = f"{beginning}num_attention_heads"
        option = "--decoder-heads" if beginning else "--heads"
        raise ValueError(
            f"{source}: {field} cannot be guessed for the width {width}, which is not a multiple of "
            f"{head_width} as in the published model: give it ({option})."
        )
    return width // head_width


def check_settings(deduced: Mapping[str, Any], settings: Mapping[str, Any], source: str) -> None:
    """Refuse settings that contradict what shapes say."""
    for name, value in settings.items():
        value = tuple(value) if isinstance(value, list) else value
        if name in deduced and deduced[name] != value:
            raise ValueError(
                f"{source}: {name}={value!r} contradicts its arrays, which say {deduced[name]!r}."
            )
