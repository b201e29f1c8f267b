"""Checks of named arrays: whether they are all that a configuration says, of the right shapes and finite."""

import os
from collections.abc import Callable, Collection, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from jaxtyping import Shaped

from minitvlt.backends import Array, flatten, unflatten, walk
from minitvlt.config import Config
from minitvlt.model.parameters import Params, outline

FilePath = str | os.PathLike[str]
Arrays = dict[str, Shaped[np.ndarray, "..."]]
Shape = tuple[int | None, ...]  # None: an axis of any length but 0

# Position tables may have any number of rows: shorter clips use the first rows, longer ones interpolate.
OF_ANY_LENGTH = ("positions.time", "positions.frequency")
# Settings that shapes only suggest. A reader must be given the first three where the suggestion is wrong.
NEEDED = ("image_size", "num_attention_heads", "decoder_num_attention_heads")
SUGGESTED = (*NEEDED, "spectrogram_length", "task_mae", "task_matching", "loss_type")
DECODER_HEADS = ("video_head", "audio_head")  # of which a model may have one alone


def outline_for(
    arrays: Mapping[str, Shaped[Array, "..."]], config: Config, names: Collection[str], source: str
) -> Params:
    """Call `outline` for the parts that there are, unless the arrays that shall fill it are far too few.

    Args:
        arrays: how many there are bounds the size of the tree.
        config: says what is in each part.
        names: of our arrays that there are, or beginnings of them. A decoder may lack one of its two heads.
        source: where the arrays come from, for error messages.

    Raises:
        ValueError: a configuration that would not fit into memory, or that has more layers than arrays.
    """
    parts, numbers = {name.partition(".")[0] for name in names}, sum(array.size for array in arrays.values())
    for prefix in ("", "decoder_") if "decoder" in parts else ("",):
        layers, D = getattr(config, f"{prefix}num_hidden_layers"), getattr(config, f"{prefix}hidden_size")
        if 11 * layers > len(arrays) or 4 * layers * D * D > numbers:  # the least that a block has
            raise ValueError(f"{source} holds {numbers} numbers, too few for {layers} layers of width {D}.")
    try:
        like = outline(config, parts)
    except (MemoryError, OverflowError, ValueError) as error:
        raise ValueError(f"{source}: no memory can hold what its configuration says: {error}.") from None
    lacking = [h for h in DECODER_HEADS if not any(name.startswith(f"decoder.{h}") for name in names)]
    if "decoder" in parts and len(lacking) == 1:
        like = replace(like, decoder=replace(like.decoder, **{lacking[0]: None}))
    return like


def fill(config: Config, arrays: Arrays, source: str) -> Params:
    """Make a tree of arrays under our names, which must be those that the configuration says, and no others.

    Raises:
        ValueError: arrays that are missing, unknown, of another shape, not floating-point, or not finite.
    """
    like = outline_for(arrays, config, arrays, source)
    shapes = {n: (None, *x.shape[1:]) if n.endswith(OF_ANY_LENGTH) else x.shape for n, x in walk(like)}
    check_arrays(arrays, shapes, source)
    check_known(arrays, like, source)
    return unflatten(like, arrays)


def list_tasks(parts: Collection[str]) -> dict[str, bool]:
    """Return the objectives that a model with these parts can be trained for.

    A configuration has at least one: where there is neither head, as in fine-tuned models, it is matching.
    """
    return {"task_mae": "decoder" in parts, "task_matching": "matching" in parts or "decoder" not in parts}


def check_arrays(arrays: Mapping[str, Array], shapes: Mapping[str, Shape], source: str) -> None:
    """Raise a ValueError unless all of `shapes` are present with that shape and hold finite floats."""
    missing = [name for name in shapes if name not in arrays]
    if missing:
        raise ValueError(f"{source} lacks {', '.join(missing):.1000}.")
    for name, wanted in shapes.items():
        shape = tuple(arrays[name].shape)
        is_met = len(shape) == len(wanted) and all(n in (m, None) for n, m in zip(wanted, shape, strict=True))
        if not is_met or 0 in shape:
            says = str(wanted).replace("None", "any")
            raise ValueError(f"{source}: {name} has the shape {shape}, but its configuration says {says}.")
        check_numbers(arrays[name], f"{source}: {name}")


def check_known(arrays: Mapping[str, Array], like: Params, source: str) -> None:
    """Raise a ValueError if there are arrays that a tree of the same configuration does not have."""
    known = flatten(like)
    unknown = ", ".join(name for name in arrays if name not in known)
    if unknown:
        raise ValueError(f"{source} has arrays that its configuration does not: {unknown:.500}.")


def check_numbers(array: Array, name: str) -> None:
    """Raise a ValueError unless an array holds finite floating-point numbers."""
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} is {array.dtype}: expected floating-point numbers.")
    count = array.size - int(np.isfinite(array).sum())
    if count:
        raise ValueError(f"{name}: {count} of {array.size} values are NaN or infinite.")


def strip_prefix(arrays: Arrays, anchor: str, source: str) -> Arrays:
    """Remove a common prefix such as `transformer.` from names: what precedes the name `anchor`.

    Names without that prefix stay as they are.

    >>> arrays = {"net.patch_embed.proj.weight": np.ones(2), "step": np.ones(1)}
    >>> list(strip_prefix(arrays, "patch_embed.proj.weight", "a file"))
    ['patch_embed.proj.weight', 'step']

    Raises:
        ValueError: no such name, the same one with several prefixes, or two names that become one.
    """
    prefixes = [name.removesuffix(anchor) for name in arrays if f".{name}".endswith(f".{anchor}")]
    if len(prefixes) != 1:
        some = prefixes or f"only {', '.join(arrays):.100}"
        raise ValueError(f"{source}: expected one {anchor}, with or without a prefix, got {some}.")
    bare = {name.removeprefix(prefixes[0]): array for name, array in arrays.items()}
    if len(bare) < len(arrays):
        raise ValueError(f"{source} has a name both with and without {prefixes[0]}: keep one of them.")
    return bare


def make_config(
    preset: Callable[..., Config], deduced: Mapping[str, Any], settings: Mapping[str, Any], source: str
) -> Config:
    """Make a configuration of what arrays say or suggest, and of what the caller gives.

    Raises:
        ValueError: settings that contradict the arrays or do not exist, or that have to be given.
    """
    values = {**deduced, **settings}
    unknown = ", ".join(name for name, value in values.items() if value is None)
    if unknown:
        text = f"{source}: {unknown} cannot be guessed from the shapes: give them as arguments"
        raise ValueError(f"{text} (--heads, --decoder-heads).")
    try:
        config = preset(**values)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from None
    for name, value in deduced.items():
        given = getattr(config, name)
        if given != value and name not in SUGGESTED:
            raise ValueError(f"{source}: {name}={given!r} contradicts its arrays, which say {value!r}.")
    return config
