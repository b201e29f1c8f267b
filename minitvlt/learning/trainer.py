"""The training loop: the same text for NumPy and PyTorch.

Step n draws everything it needs from the generator seeded with (seed, n). So the number of steps done is the position
in the data and the state of the randomness at once, and a run that was killed goes on as if it never had been.
"""

import json
import math
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from jaxtyping import Float
from tqdm import tqdm

from minitvlt.backends import Array, namespace, to_backend, value_and_grad
from minitvlt.files import write_atomically
from minitvlt.learning.batches import World, draw_batch, split_batch
from minitvlt.learning.checkpoints import load_arrays, save_arrays
from minitvlt.learning.optimizer import (
    AdamWState,
    Recipe,
    clip_gradient,
    compute_learning_rate,
    find_decays,
    from_vector,
    start_adamw,
    to_vector,
    update_adamw,
)
from minitvlt.model.parameters import Params
from minitvlt.model.pretraining import LossCounts, PretrainingBatch, count_targets, pretraining_loss

METRICS, STATE, RUN = "metrics.jsonl", "training_state.safetensors", "run.json"
SAVE_EVERY = 200  # steps


def train(
    params: Params,
    world: World,
    recipe: Recipe,
    folder: Path,
    backend: str = "numpy",
    device: str | None = None,
    show_progress: bool = True,
) -> Params:
    """Pre-train a model, from its initial parameters or from where the folder's last saved state stands.

    The folder receives `metrics.jsonl`, a line a step, and `training_state.safetensors`, written every 200 steps, after
    the last step and when the run is interrupted from the keyboard. Both depend on nothing but the arguments: a run
    that was killed and called again ends with the same bytes as one that was not.

    Args:
        params: initial parameters (NumPy).
        world: where clips come from.
        recipe: steps, batch, rates, seed.
        folder: where to write; it exists.
        backend: "numpy" or "torch".
        device: where torch computes, for instance "cuda".
        show_progress: draw a progress bar.

    Returns:
        The trained parameters, as NumPy.
    """
    steps_done, state = load_state(folder / STATE, params)
    progress = (steps_done, to_backend(state, backend, device))
    like = to_backend(params, backend, device)
    decays = to_backend(find_decays(params), backend, device)
    bar = tqdm(total=recipe.steps, initial=steps_done, unit="step", disable=not show_progress, dynamic_ncols=True)
    with open_metrics(folder / METRICS, steps_done) as metrics, bar:
        try:
            while progress[0] < recipe.steps:
                step, state = progress
                rng = np.random.default_rng([recipe.seed, step])
                batch = draw_batch(world, params.config, rng, recipe.batch_size)
                parts = to_backend(tuple(split_batch(batch, recipe.micro_batches)), backend, device)
                state, line = take_step(state, like, decays, parts, count_targets(batch), step, recipe)
                write_line(metrics, line)
                progress = (step + 1, state)  # one assignment: an interruption finds both or neither
                bar.set_postfix(loss=f"{line['loss']:.3f}", refresh=False)
                bar.update()
                if progress[0] % SAVE_EVERY == 0:
                    save_state(folder / STATE, *progress)
        finally:
            save_state(folder / STATE, *progress)
    return to_backend(from_vector(progress[1].parameters, like), "numpy")


def take_step(
    state: AdamWState,
    like: Params,
    decays: Float[Array, "n"],
    parts: tuple[PretrainingBatch, ...],
    counts: LossCounts,
    step: int,
    recipe: Recipe,
) -> tuple[AdamWState, dict[str, Any]]:
    """Compute the gradient over the parts of a batch and move the parameters; return the line for the metrics file.

    Raises:
        ValueError: a loss or gradient that is not finite.
    """
    params = from_vector(state.parameters, like)
    totals, gradient = (), None
    for part in parts:
        (loss, rest), gradients = value_and_grad(_loss_and_rest, has_aux=True)(params, part, counts)
        found = (loss, *rest)
        vector = to_vector(gradients)
        gradient = vector if gradient is None else gradient + vector
        totals = found if not totals else tuple(a if b is None else a + b for a, b in zip(totals, found, strict=True))
    gradient, norm = clip_gradient(gradient, recipe.clip_norm)
    line = _describe(step, totals, float(norm), counts, recipe)
    return update_adamw(state, gradient, decays, step, recipe), line


def _loss_and_rest(params: Params, part: PretrainingBatch, counts: LossCounts) -> tuple[Array, tuple]:
    out = pretraining_loss(params, part, counts)
    right = None
    if out.match_logits is not None:
        xp = namespace(out.match_logits)
        is_right = (out.match_logits > 0.0) == part.is_match
        right = xp.sum(xp.astype(is_right, part.audio.dtype))
    return out.loss, (out.match_loss, out.video_loss, out.audio_loss, right)


def _describe(step: int, totals: tuple, norm: float, counts: LossCounts, recipe: Recipe) -> dict[str, Any]:
    loss, match_loss, video_loss, audio_loss, right = (None if x is None else float(x) for x in totals)
    if not (math.isfinite(loss) and math.isfinite(norm)):
        raise ValueError(
            f"The loss at step {step + 1} is {loss}, its gradient {norm}: training has diverged. "
            "Lower the learning rate, or look for values outside [-1, 1] in the data."
        )
    return {
        "step": step + 1,
        "loss": loss,
        "match_loss": match_loss,
        "video_loss": video_loss,
        "audio_loss": audio_loss,
        "match_accuracy": None if right is None else right / counts.match,
        "learning_rate": compute_learning_rate(step, recipe),
        "gradient_norm": norm,
    }


def save_state(path: Path, step: int, state: AdamWState) -> None:
    """Save parameters, AdamW's memory and the number of steps done."""
    host = to_backend(state, "numpy")
    arrays = {"parameters": host.parameters, "mean": host.mean, "square": host.square}
    save_arrays(arrays, path, {"steps": str(step)})


def load_state(path: Path, params: Params) -> tuple[int, AdamWState]:
    """Load what `save_state` saved; where there is nothing yet, begin with the initial parameters."""
    start = start_adamw(params)
    if not path.exists():
        return 0, start
    arrays, metadata = load_arrays(path)
    if arrays["parameters"].shape != start.parameters.shape:
        raise ValueError(
            f"{path} holds {arrays['parameters'].size} parameters, this configuration has {start.parameters.size}: "
            "resume with the configuration of the run."
        )
    return int(metadata["steps"]), AdamWState(arrays["parameters"], arrays["mean"], arrays["square"])


def open_metrics(path: Path, steps_done: int) -> TextIO:
    """Open the metrics file to append; lines that are newer than the saved state, or half written, are dropped."""
    if path.exists():
        lines = path.read_text().splitlines(keepends=True)[:steps_done]
        write_atomically(path, lambda temporary: temporary.write_text("".join(lines)))
    return path.open("a")


def write_line(metrics: TextIO, line: dict[str, Any]) -> None:
    """Append a line and hand it to the operating system, so that killing this process does not lose it."""
    metrics.write(json.dumps(line) + "\n")
    metrics.flush()


def read_metrics(path: Path) -> list[dict[str, Any]]:
    """Read a metrics file: one dictionary a step."""
    return [json.loads(line) for line in path.read_text().splitlines()]
