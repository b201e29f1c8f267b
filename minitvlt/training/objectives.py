"""Objectives: what a model is trained for, as four functions; here those of pre-training."""

import operator
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.backends import Array, map_tree, namespace, value_and_grad
from minitvlt.config import Config
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import LossCounts, PretrainingBatch, count_targets, pretraining_loss
from minitvlt.training.batches import World, draw_batch

Sums = dict[str, Float[Array, ""] | None]  # numbers for the log, summed over the clips of a batch
Compute = Callable[[Params, Any, Any], tuple[Float[Array, ""], Sums]]  # of parameters, a part, counts


@dataclass(frozen=True)
class Objective:
    """What a model is trained for.

    A batch may be computed in parts, so nothing here is a mean over a part: losses and numbers are sums
    divided by what `count` found in the whole batch, or sums that `describe` divides.
    """

    draw: Callable[[World, Config, np.random.Generator, int], Any]  # a batch of a number of clips: a tree
    count: Callable[[Any], Any]  # of the whole batch: what sums are divided by
    compute: Compute  # loss and numbers of a part
    describe: Callable[[dict[str, float | None], Any], dict[str, Any]]  # the entries of a line of metrics


def sum_gradients(
    function: Compute, params: Params, shares: Sequence[Sequence[Any]], counts: Any
) -> tuple[dict[str, Float[Array, ""] | None], Params]:
    """Sum gradients over all micro-batches of a batch.

    Args:
        function: `compute` of an objective.
        params: NumPy parameters.
        shares: lists of micro-batches.
        counts: of the whole batch.

    Returns:
        The numbers of `function`, and its value as `loss`; the gradients.
    """
    compute, total = value_and_grad(function, has_aux=True), None
    for part in chain.from_iterable(shares):
        (loss, numbers), gradients = compute(params, part, counts)
        found = ({"loss": loss, **numbers}, gradients)
        total = found if total is None else map_tree(operator.add, total, found)
    return total


def compute_pretraining(
    params: Params, part: PretrainingBatch, counts: LossCounts
) -> tuple[Float[Array, ""], Sums]:
    """Compute the loss, the losses that it consists of, and the number of pairs that are classified right."""
    out = pretraining_loss(params, part, counts)
    right = None
    if out.match_logits is not None:
        xp = namespace(out.match_logits)
        right = xp.sum(xp.astype((out.match_logits > 0.0) == part.is_match, part.audio.dtype))
    losses = {"match_loss": out.match_loss, "video_loss": out.video_loss, "audio_loss": out.audio_loss}
    return out.loss, {**losses, "right": right}


def describe_pretraining(sums: dict[str, float | None], counts: LossCounts) -> dict[str, Any]:
    """Return the three losses and the accuracy of matching."""
    losses, right = {name: x for name, x in sums.items() if name != "right"}, sums["right"]
    return {**losses, "match_accuracy": None if right is None else right / counts.match}


PRETRAINING = Objective(draw_batch, count_targets, compute_pretraining, describe_pretraining)
