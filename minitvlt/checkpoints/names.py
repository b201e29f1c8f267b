"""How other programs name and lay out the same parameters: a table of names, read in both directions.

They keep patch projections as convolutions (D, C, p, q); here these are rows of a linear map, in the order in
which patches are laid out, (p, q, C). They keep tokens as (1, 1, D) and position tables as (1, rows, D); here
both come without the axes of size 1.
"""

import warnings
from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from minitvlt.backends import flatten, unflatten, walk
from minitvlt.checkpoints.native import OF_ANY_LENGTH, check_numbers, check_shape, lay_out
from minitvlt.config import Config
from minitvlt.model.parameters import Params


@dataclass(frozen=True)
class Layout:
    """The names of another program, and how they come from ours

    A name of ours is matched by its beginning. `{}` stands for the several arrays there that are one here.
    """

    parts: Mapping[str, str]  # our beginning of a name -> theirs
    block_parts: Mapping[str, str]  # the same within a block of a transformer
    kinds: tuple[str, ...] = ("",)  # what to put for {}


def name_there(layout: Layout, name: str) -> list[str]:
    """Translate a name of ours; several names where they keep in several arrays what is one here."""
    ours = next(part for part in layout.parts if begins_with(name, part))
    rest, theirs = name[len(ours) + 1 :], layout.parts[ours]
    if ours.endswith(".blocks"):
        index, _, rest = rest.partition(".")
        part, _, rest = rest.rpartition(".")
        theirs = f"{theirs}.{index}.{layout.block_parts[part]}"
    theirs = f"{theirs}.{rest}" if rest else theirs
    return [theirs.replace("{}", kind) for kind in layout.kinds] if "{}" in theirs else [theirs]


def begins_with(name: str, part: str) -> bool:
    """Tell whether a dotted name is that of a part or of something in it.

    >>> begins_with("blocks.10.norm", "blocks.10"), begins_with("blocks.10.norm", "blocks.1")
    (True, False)
    """
    return name == part or name.startswith(part + ".")


def find_parts(layout: Layout, names: Collection[str]) -> set[str]:
    """Tell to which of our parts (encoder, decoder, …) names of theirs belong."""
    return {
        ours.partition(".")[0]
        for ours, theirs in layout.parts.items()
        if any(begins_with(name, theirs) for name in names)
    }


def take_params(
    layout: Layout, config: Config, theirs: dict[str, Shaped[np.ndarray, "..."]], source: str
) -> Params:
    """Make a float32 tree of their arrays, which may lack every part but the encoder as a whole.

    Args:
        layout: their names.
        config: says which arrays there must be, and their shapes.
        theirs: what is taken is removed; what has no place here remains, and is named in a warning.
        source: where they come from, for messages.

    Raises:
        ValueError: a configuration far larger than the arrays, or what `take_arrays` refuses.
    """
    like = lay_out(config, find_parts(layout, theirs) | {"encoder"}, theirs, source)
    params = unflatten(like, take_arrays(layout, config, flatten(like), theirs, source))
    warn_of_unused(theirs, source)
    return params


def warn_of_unused(names: Collection[str], source: str) -> None:
    """Name, in one warning, what a file holds beside what was read."""
    if names:
        some = ", ".join(sorted(names))
        warnings.warn(f"{source} holds more than is read: {some:.1000}.", stacklevel=4)


def take_arrays(
    layout: Layout,
    config: Config,
    blanks: Mapping[str, Float[np.ndarray, "..."]],
    theirs: dict[str, Shaped[np.ndarray, "..."]],
    source: str,
) -> dict[str, Float[np.ndarray, "..."]]:
    """Take arrays like `blanks` out of theirs, laid out as ours, under our names, in float32.

    Args:
        layout: their names.
        config: says how large patches are.
        blanks: which arrays to take, with the shapes that they have here; some tables may have other lengths.
        theirs: what is taken is removed.
        source: where they come from, for error messages.

    Raises:
        ValueError: arrays that are missing, of another shape, or that hold other things than finite
            floating-point numbers. The message has their names.
    """
    names = {name: name_there(layout, name) for name in blanks}
    missing = [each for group in names.values() for each in group if each not in theirs]
    if missing:
        raise ValueError(f"{source} lacks {', '.join(missing):.1000}.")
    taken = {}
    for name, blank in blanks.items():
        first, *rest = lay_out_there(config, name, blank).shape
        wanted, rows = (first // len(names[name]), *rest), 1 if name.endswith(OF_ANY_LENGTH) else None
        parts = []
        for each in names[name]:
            array = theirs.pop(each)
            check_shape(array, wanted, rows, f"{source}: {each}")
            parts.append(to_single(array, f"{source}: {each}"))
        taken[name] = lay_out_here(parts[0] if len(parts) == 1 else np.concatenate(parts), blank.ndim)
    return taken


def to_single(array: Shaped[np.ndarray, "*shape"], name: str) -> Float[np.ndarray, "*shape"]:
    """Bring an array to float32, in which its numbers must be finite; `name` is for error messages."""
    if np.issubdtype(array.dtype, np.floating) and array.dtype != np.float32:
        name = f"{name}, in float32"
        with np.errstate(over="ignore"):
            array = array.astype(np.float32)
    check_numbers(array, name)
    return array


def lay_out_here(array: Float[np.ndarray, "..."], axes: int) -> Float[np.ndarray, "..."]:
    """Bring one of their arrays to the number of axes that it has here."""
    if array.ndim == 4:
        return array.transpose(0, 2, 3, 1).reshape(array.shape[0], -1)
    return array.reshape(array.shape[array.ndim - axes :])  # without the first axes, which have size 1


def give_arrays(layout: Layout, params: Params) -> dict[str, Float[np.ndarray, "..."]]:
    """Lay out NumPy parameters as theirs, under their names; the way back from `take_arrays`."""
    theirs = {}
    for name, array in walk(params):
        names = name_there(layout, name)
        parts = np.split(lay_out_there(params.config, name, array), len(names))
        theirs.update(zip(names, parts, strict=True))
    return theirs


def lay_out_there(config: Config, name: str, array: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Give an array of ours the axes that it has there; the way back from `lay_out_here`."""
    convolutions = {
        "encoder.video_patches.weight": (config.num_image_channels, *config.image_patch_size),
        "encoder.audio_patches.weight": (config.num_audio_channels, *config.audio_patch_size),
    }
    if name in convolutions:
        C, p, q = convolutions[name]
        return array.reshape(-1, p, q, C).transpose(0, 3, 1, 2)
    if name.endswith((".weight", ".bias")):
        return array
    return array.reshape(1, -1, array.shape[-1])  # a token or a table
