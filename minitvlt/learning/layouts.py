"""How other programs name and lay out the same parameters: a table of names, read in both directions.

They keep patch projections as convolutions (D, C, p, q); here these are rows of a linear map, in the order in
which patches are laid out, (p, q, C). They keep tokens as (1, 1, D) and position tables as (1, rows, D); here
both come without the axes of size 1.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float, Shaped

from minitvlt.backends import walk
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
    ours = next(part for part in layout.parts if name == part or name.startswith(part + "."))
    rest, theirs = name[len(ours) + 1 :], layout.parts[ours]
    if ours.endswith(".blocks"):
        index, _, rest = rest.partition(".")
        part, _, rest = rest.rpartition(".")
        theirs = f"{theirs}.{index}.{layout.block_parts[part]}"
    theirs = f"{theirs}.{rest}" if rest else theirs
    return [theirs.replace("{}", kind) for kind in layout.kinds] if "{}" in theirs else [theirs]


def find_parts(layout: Layout, names: Collection[str]) -> set[str]:
    """Tell to which of our parts (encoder, decoder, …) names of theirs belong."""
    return {
        ours.partition(".")[0]
        for ours, theirs in layout.parts.items()
        if any(name == theirs or name.startswith(theirs.partition("{}")[0]) for name in names)
    }


def take_arrays(
    layout: Layout, like: Params, theirs: dict[str, Shaped[np.ndarray, "..."]], source: str
) -> dict[str, Shaped[np.ndarray, "..."]]:
    """Take the arrays of a tree like `like` out of theirs, laid out as ours, under our names.

    Args:
        layout: their names.
        like: says which arrays there are.
        theirs: what is taken is removed, so that what is left over remains.
        source: where they come from, for error messages.

    Raises:
        ValueError: arrays that are missing, that do not belong together, or that hold other things than
            finite floating-point numbers.
    """
    return {name: _take_array(layout, name, blank.ndim, theirs, source) for name, blank in walk(like)}


def _take_array(
    layout: Layout, name: str, axes: int, theirs: dict[str, np.ndarray], source: str
) -> Shaped[np.ndarray, "..."]:
    names = name_there(layout, name)
    missing = [each for each in names if each not in theirs]
    if missing:
        raise ValueError(f"{source} lacks {', '.join(missing)}, which its configuration asks for.")
    parts = [theirs.pop(each) for each in names]
    shapes = [part.shape for part in parts]
    if len(set(shapes)) > 1 or shapes[0] == ():
        raise ValueError(f"{source}: expected {', '.join(names)} with axes, alike in shape, got {shapes}.")
    for each, part in zip(names, parts, strict=True):
        check_numbers(part, f"{source}: {each}")
    return lay_out_here(np.concatenate(parts, axis=0), axes)


def check_numbers(array: np.ndarray, name: str) -> None:
    """Raise a ValueError unless an array holds finite floating-point numbers."""
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(f"{name} is {array.dtype}: expected floating-point numbers.")
    if not np.isfinite(array).all():
        count = array.size - int(np.isfinite(array).sum())
        raise ValueError(f"{name}: {count} of {array.size} values are NaN or infinite.")


def lay_out_here(array: Shaped[np.ndarray, "..."], axes: int) -> Shaped[np.ndarray, "..."]:
    """Bring one of their arrays to float32 and to the number of axes that it has here."""
    if np.issubdtype(array.dtype, np.floating):
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused later, by name
            array = array.astype(np.float32, copy=False)
    if array.ndim == 4 and axes == 2:
        return array.transpose(0, 2, 3, 1).reshape(array.shape[0], -1)
    while array.ndim > axes and array.shape[0] == 1:
        array = array[0]
    return array


def give_arrays(layout: Layout, params: Params) -> dict[str, Shaped[np.ndarray, "..."]]:
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
