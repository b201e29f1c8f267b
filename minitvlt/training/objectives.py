"""What a model is trained for, as the trainer asks it: four functions, and those of pre-training."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import Array, namespace
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import LossCounts, PretrainingBatch, count_targets, pretraining_loss
from minitvlt.training.batches import World, draw_batch

Sums = dict[str, Float[Array, ""] | None]  # numbers for the log, summed over the parts of a batch


@dataclass(frozen=True)
class Objective:
    """What a model is trained for.

    A batch may be worked through in parts, so nothing here is a mean over a part: losses and numbers are sums
    divided by what `count` found in the whole batch, or sums that `describe` divides.
    """

    draw: Callable[[World, Config, np.random.Generator, int], Any]  # so many clips, as a batch
    count: Callable[[Any], Any]  # of a whole batch: what to divide sums by
    compute: Callable[[Params, Any, Any], tuple[Float[Array, ""], Sums]]  # of a part and these counts
    describe: Callable[
        [dict[str, float | None], Any], dict[str, Any]
    ]  # what a line of metrics says of the sums


def compute_pretraining(
    params: Params, part: PretrainingBatch, counts: LossCounts
) -> tuple[Float[Array, ""], Sums]:
    """The loss, and beside it the three that it is made of and how many pairs were told right."""
    out = pretraining_loss(params, part, counts)
    right = None
    if out.match_logits is not None:
        xp = namespace(out.match_logits)
        is_right = (out.match_logits > 0.0) == part.is_match
        right = xp.sum(xp.astype(is_right, part.audio.dtype))
    losses = {"match_loss": out.match_loss, "video_loss": out.video_loss, "audio_loss": out.audio_loss}
    return out.loss, {**losses, "right": right}


def describe_pretraining(sums: dict[str, float | None], counts: LossCounts) -> dict[str, Any]:
    """The three losses, and the share of pairs that were told right."""
    right = sums.pop("right")
    return {**sums, "match_accuracy": None if right is None else right / counts.match}


PRETRAINING = Objective(draw_batch, count_targets, compute_pretraining, describe_pretraining)
