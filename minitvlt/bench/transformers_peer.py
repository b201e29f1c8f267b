"""The work as transformers 4.40.2 does it, called as its documentation says."""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch
import transformers
from jaxtyping import Float, Int, Shaped

from minitvlt.backends import Array
from minitvlt.bench import torch_tools
from minitvlt.bench.cases import Case, count_tokens, draw_clips, draw_waveforms, list_pairs
from minitvlt.bench.contenders import Contender
from minitvlt.bench.ours import Run, Wrap
from minitvlt.bench.spectrogram_peers import make_extractor
from minitvlt.learning.batches import draw_mixing
from minitvlt.learning.huggingface_config import describe_config
from minitvlt.learning.optimizer import Recipe
from minitvlt.model.initial import outline

Place = Callable[[np.ndarray], torch.Tensor]


def prepare_transformers(contender: Contender, case: Case) -> Run:
    """Make everything ready that does not belong to the work, and return what does it once."""
    transformers.logging.set_verbosity_error()
    torch.manual_seed(0)
    trains = case.work == "step"
    kind = "TvltForPreTraining" if case.work in ("step", "retrieval") else "TvltModel"
    config = transformers.TvltConfig.from_dict(describe_config(outline(case.config)))
    model = getattr(transformers, kind)(config).to(contender.device).train(trains)
    wrap = partial(torch_tools.wrap, contender=contender)
    run = PREPARE[case.work](case, model, partial(move, device=contender.device), wrap)
    return torch_tools.finish(run, contender, trains)


def move(array: Shaped[np.ndarray, "..."], device: str) -> Shaped[Array, "..."]:
    """Bring an array of the host to PyTorch."""
    return torch.from_numpy(array).to(device)


def make_masks(case: Case, place: Place, batch: int) -> dict[str, Shaped[Array, "B N"]]:
    """The masks that its processor returns: every token is real, with whole numbers and with others."""
    Nv, Na = count_tokens(case)
    masks = {"pixel_mask": np.ones((batch, Nv), int), "audio_mask": np.ones((batch, Na), np.float32)}
    return {name: place(mask) for name, mask in masks.items()}


def prepare_inference(case: Case, model: Any, place: Place, wrap: Wrap) -> Run:
    """The encoder."""
    clips, masks = draw_clips(case), make_masks(case, place, case.batch)
    return partial(wrap(model), place(clips.video), place(clips.audio), **masks)


def prepare_raw_inference(case: Case, model: Any, place: Place, wrap: Wrap) -> Run:
    """The encoder on what the feature extractor makes of the sounds, cut to the patches that sound fills."""
    extractor, rate = make_extractor(case.config), case.config.sample_rate
    video, masks = place(draw_clips(case).video), make_masks(case, place, case.batch)
    waveforms, encode = list(draw_waveforms(case)), wrap(model)

    def run() -> Any:
        found = extractor(waveforms, sampling_rate=rate, return_tensors="np")
        return encode(video, place(found.audio_values[:, :, : case.steps]), **masks)

    return run


def prepare_step(case: Case, model: Any, place: Place, wrap: Wrap) -> Run:
    """Loss, gradient, clipping and AdamW; what is hidden, the model draws itself."""
    clips, masks, recipe = draw_clips(case), make_masks(case, place, case.batch), Recipe()
    source, is_match = draw_mixing(np.random.default_rng(0), case.batch)
    inputs = masks | {
        "pixel_values": place(clips.video),
        "audio_values": place(clips.audio),
        "pixel_values_mixed": place(clips.video[source]),
        "pixel_mask_mixed": masks["pixel_mask"],
        "labels": place(is_match.astype(np.float32)),
    }
    rates = {"lr": recipe.learning_rate / recipe.warmup_steps, "weight_decay": recipe.weight_decay}
    optimizer, compute = torch.optim.AdamW(model.parameters(), **rates), wrap(model)

    def run() -> Float[Array, ""]:
        loss = compute(**inputs).loss
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip_norm)
        optimizer.step()
        optimizer.zero_grad()
        return loss.detach()

    return run


def prepare_retrieval(case: Case, model: Any, place: Place, wrap: Wrap) -> Run:
    """Every pair through the encoder and the matching head, 64 of them at a time."""
    clips = draw_clips(case)
    video, audio, encode = place(clips.video), place(clips.audio), wrap(model.tvlt)

    def score(
        sounds: Int[np.ndarray, " pairs"], videos: Int[np.ndarray, " pairs"]
    ) -> Float[Array, "pairs 1"]:
        masks = make_masks(case, place, len(sounds))
        return model.matching_head(encode(video[videos], audio[sounds], **masks).last_hidden_state)

    def run() -> list[Float[Array, "pairs 1"]]:
        return [score(*pairs) for pairs in list_pairs(case.batch)]

    return run


PREPARE: dict[str, Callable[[Case, Any, Place, Wrap], Run]] = {
    "inference": prepare_inference,
    "raw-inference": prepare_raw_inference,
    "step": prepare_step,
    "retrieval": prepare_retrieval,
}
