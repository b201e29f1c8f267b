"""The work as this package does it, on NumPy and on PyTorch."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool, Float

from minitvlt.backends import to_backend
from minitvlt.bench.cases import Case, count_tokens, draw_clips, draw_waveforms, list_pairs
from minitvlt.bench.contenders import Contender
from minitvlt.learning.batches import make_batch
from minitvlt.learning.engine import Execution, start_engine
from minitvlt.learning.evaluation import score_all_pairs
from minitvlt.learning.objectives import PRETRAINING
from minitvlt.learning.optimizer import Recipe, start_adamw
from minitvlt.model.initial import init
from minitvlt.model.pretraining import PretrainingBatch, score_matches
from minitvlt.model.tvlt import forward
from minitvlt.signals.spectrogram import log_mel_spectrogram

Run = Callable[[], Any]  # does the work once
Place = Callable[..., Any]  # brings a tree of arrays to where the contender computes
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]  # runs the model's function as the contender does


def prepare_ours(contender: Contender, case: Case) -> Run:
    """Make everything ready that does not belong to the work, and return what does it once.

    For inference in bfloat16 the parameters are rounded. Training is the trainer's: its engine knows how.
    """
    if case.work == "step":
        return prepare_step(contender, case)
    prepare = prepare_pairwise if contender.library == "pairwise" else PREPARE[case.work]
    if contender.library != "torch":
        return prepare(case, partial(to_backend, name="numpy"), lambda function: function)
    from minitvlt.bench import torch_tools

    place = partial(to_backend, name="torch", device=contender.device, dtype=contender.precision)
    run = prepare(case, place, partial(torch_tools.wrap, contender=contender, autocasts=False))
    return torch_tools.finish(run, contender, trains=False)


def prepare_inference(case: Case, place: Place, wrap: Wrap) -> Run:
    """The encoder."""
    clips = draw_clips(case)
    return partial(wrap(forward), *place((init(case.config), clips.video, clips.audio, *make_masks(case))))


def make_masks(case: Case) -> tuple[Bool[np.ndarray, "B Nv"], Bool[np.ndarray, "B Na"]]:
    """The masks that `prepare_video` and `prepare_audio` return: every token is real."""
    Nv, Na = count_tokens(case)
    return np.ones((case.batch, Nv), bool), np.ones((case.batch, Na), bool)


def prepare_step(contender: Contender, case: Case) -> Run:
    """A step of the trainer on one batch, without masks: where all is real, its worlds give none."""
    batch = make_batch(draw_clips(case), case.config, np.random.default_rng(0))
    counts, recipe, step = PRETRAINING.count(batch), Recipe(batch_size=case.batch), 0
    initial, execution = init(case.config), Execution(contender.precision, contender.is_compiled)
    place = partial(to_backend, name=contender.library, device=contender.device)
    engine = start_engine(place(initial), start_adamw(initial), execution)
    parts = engine.move([batch])

    def run() -> float:
        nonlocal step
        numbers, gradient = engine.compute(PRETRAINING.compute, parts, counts)
        engine.update(gradient, numbers, step, recipe)
        step = min(step + 1, recipe.steps - 1)
        return engine.read_later(numbers)()["loss"]

    return run


def prepare_spectrogram(case: Case, place: Place, wrap: Wrap) -> Run:
    """The log-mel picture of sounds that lie where the contender computes."""
    return partial(wrap(log_mel_spectrogram), place(draw_waveforms(case)), case.config.sample_rate)


def prepare_raw_inference(case: Case, place: Place, wrap: Wrap) -> Run:
    """The encoder on frames that lie where the contender computes, and on sounds that come from the host."""
    config, waveforms, encode = case.config, draw_waveforms(case), wrap(forward)
    params, video, masks = place((init(config), draw_clips(case).video, make_masks(case)))
    geometry = (config.sample_rate, config.frequency_length, config.window_length, config.hop_length)

    def run() -> Any:
        pictures = log_mel_spectrogram(place(waveforms, dtype="float32"), *geometry)
        return encode(params, video, pictures[:, None, : case.steps, :], *masks)

    return run


def prepare_retrieval(case: Case, place: Place, wrap: Wrap) -> Run:
    """All pairs at once."""
    clips = draw_clips(case)
    pairs = PretrainingBatch(clips.video, clips.audio, None, None, None, None, None, None, None)
    return partial(wrap(score_all_pairs), place(init(case.config)), pairs)


def prepare_pairwise(case: Case, place: Place, wrap: Wrap) -> Run:
    """The plain way to the same: every pair through the whole model, 64 of them at a time."""
    params, clips = place(init(case.config)), draw_clips(case)

    def run() -> list[Float[np.ndarray, " pairs"]]:
        return [score_matches(params, clips.video[v], clips.audio[a]) for a, v in list_pairs(case.batch)]

    return run


PREPARE: dict[str, Callable[[Case, Place, Wrap], Run]] = {
    "inference": prepare_inference,
    "spectrogram": prepare_spectrogram,
    "raw-inference": prepare_raw_inference,
    "retrieval": prepare_retrieval,
}
