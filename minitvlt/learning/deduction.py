"""What names and shapes of arrays say about a model whose file says nothing else."""

from collections.abc import Collection, Iterable, Mapping
from math import isqrt
from typing import Any

import numpy as np
from jaxtyping import Shaped

Arrays = Mapping[str, Shaped[np.ndarray, "..."]]


def strip_prefix(names: Collection[str], anchor: str, source: str) -> dict[str, str]:
    """Map bare names to the names in a file, whose wrapper may have put something before them.

    What stands before `anchor` is the prefix; names without it count as they are.

    >>> strip_prefix(["net.norm.bias", "net.cls", "step"], "norm.bias", "a file")
    {'norm.bias': 'net.norm.bias', 'cls': 'net.cls', 'step': 'step'}

    Raises:
        ValueError: no such name, the same one behind several prefixes, or two names that become one.
    """
    prefixes = sorted(
        name.removesuffix(anchor) for name in names if name == anchor or name.endswith("." + anchor)
    )
    if len(prefixes) != 1:
        some = f"{len(prefixes)} of them, behind {prefixes}" if prefixes else f"names such as {_some(names)}"
        raise ValueError(f"{source}: expected one {anchor}, bare or behind a prefix, but there are {some}.")
    full: dict[str, str] = {}
    for name in names:
        bare = name.removeprefix(prefixes[0])
        if bare in full:
            raise ValueError(f"{source} holds {bare} twice, as {full[bare]} and as {name}: keep one of them.")
        full[bare] = name
    return full


def _some(names: Collection[str], most: int = 3) -> str:
    return ", ".join(sorted(names)[:most]) or "none"


def check_complete(wanted: Iterable[str], there: Collection[str], source: str) -> None:
    """Refuse a file that lacks arrays; all of them are named."""
    missing = [name for name in wanted if name not in there]
    if missing:
        raise ValueError(f"{source} lacks {', '.join(missing)}.")


def get_shape(arrays: Arrays, name: str, axes: int, source: str) -> tuple[int, ...]:
    """Return the shape of a named array, which must be there, with that many axes and not empty."""
    check_complete([name], arrays, source)
    shape = arrays[name].shape
    if len(shape) != axes or 0 in shape:
        raise ValueError(
            f"{source}: {name} has the shape {shape}: expected {axes} axes, each of at least one row."
        )
    return shape


def deduce_layers(arrays: Arrays, beginning: str, source: str) -> dict[str, int]:
    """Count layers and the width of their MLPs; `beginning` is "" for the encoder, "decoder_" for the decoder."""
    start = f"{beginning}blocks."
    indices = {name.removeprefix(start).partition(".")[0] for name in arrays if name.startswith(start)}
    return {
        f"{beginning}num_hidden_layers": len(indices),
        f"{beginning}intermediate_size": get_shape(arrays, f"{start}0.mlp.fc1.weight", 2, source)[0],
    }


def deduce_image_size(
    rows: int, patch: tuple[int, int], settings: Mapping[str, Any], source: str
) -> int | tuple[int, int]:
    """Tell the size of frames from the rows of their position table: square, unless `settings` say otherwise."""
    if "image_size" in settings:
        return settings["image_size"]
    side = isqrt(rows)
    if side * side != rows:
        raise ValueError(
            f"{source}: the position table of frames has {rows} rows, which is no square: give image_size "
            "as (height, width)."
        )
    return side * patch[0] if patch[0] == patch[1] else (side * patch[0], side * patch[1])


def guess_heads(width: int, head_width: int, field: str, settings: Mapping[str, Any], source: str) -> int:
    """Guess the number of heads, which no shape says, by the width of one in the published base model."""
    if field in settings:
        return settings[field]
    if width % head_width:
        raise ValueError(
            f"{source}: {field} cannot be guessed for the width {width}, which is not a multiple of "
            f"{head_width} as in the published model: give it (--heads, --decoder-heads)."
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
