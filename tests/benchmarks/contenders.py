"""The work as each contender does it: this package on NumPy and on torch, transformers 4.40.2, librosa.

Each function prepares whatever is not part of the work and returns a function that does the work once.
"""

from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np

import minitvlt as mt
from minitvlt.training.objectives import PRETRAINING, sum_gradients
from minitvlt.training.optimizer import apply_adamw, start_adamw
from tests.benchmarks.cases import Case, count_tokens, draw_clips, draw_waveform

Run = Callable[[], Any]


def prepare(name: str, case: Case) -> Run:
    """Prepare a contender.

    Args:
        name: "numpy", "torch", "transformers" or "librosa".
            "-cuda", "-bfloat16" (autocast) and "-compiled" may follow "torch" and "transformers".
        case: the work.
    """
    library, *words = name.split("-")
    if library == "numpy":
        return prepare_numpy(case)
    if case.work == "spectrogram" and library in PREPARE_SPECTROGRAM:
        return PREPARE_SPECTROGRAM[library](case)
    return prepare_on_torch(library, words, case)


def prepare_numpy(case: Case) -> Run:
    """This package on NumPy, in one process."""
    if case.work != "step":
        return prepare_ours(case, lambda tree: tree)
    batch, state, recipe = draw_batch(case), start_adamw(mt.init(case.config)), mt.Recipe()
    counts = PRETRAINING.count(batch)

    def run() -> Any:
        numbers, gradients = sum_gradients(PRETRAINING.compute, state.parameters, [[batch]], counts)
        norm = sum(float(np.sum(g * g)) for g in mt.flatten(gradients).values()) ** 0.5
        apply_adamw(state, gradients, min(1.0, recipe.clip_norm / norm), 0, recipe)
        return numbers["loss"]

    return run


def prepare_ours(case: Case, place: Callable[[Any], Any]) -> Run:
    """All but training, which is the same on both backends; `place` moves a tree to where it computes."""
    if case.work == "spectrogram":
        return partial(mt.log_mel_spectrogram, place(draw_waveform(case)), case.config.sample_rate)
    params, clips = place(mt.init(case.config)), draw_clips(case)
    masks = [np.ones((case.batch, N), bool) for N in count_tokens(case)]  # as `mt.prepare` gives them
    return partial(mt.forward, params, *place([clips.video, clips.audio, *masks]))


def draw_batch(case: Case) -> mt.PretrainingBatch:
    """Draw a batch for pre-training."""
    return mt.make_batch(draw_clips(case), case.config, np.random.default_rng(0))


def prepare_on_torch(library: str, words: list[str], case: Case) -> Run:
    """Ours or transformers on torch; a step is the loss, its gradient, clipping and torch's AdamW."""
    import torch

    device, trains = "cuda" if "cuda" in words else "cpu", case.work == "step"
    compute, parameters = {"torch": make_ours, "transformers": make_transformers}[library](case, device)
    compute = torch.compile(compute) if "compiled" in words else compute
    optimizer = torch.optim.AdamW(parameters, lr=3e-5) if trains else None

    def run() -> Any:
        rounds = torch.autocast(device, torch.bfloat16, enabled="bfloat16" in words)
        with torch.inference_mode(not trains), rounds:
            result = compute()
        if trains:
            result.backward()
            torch.nn.utils.clip_grad_norm_(parameters, 1.0)
            optimizer.step()
            optimizer.zero_grad()
        if device == "cuda":
            torch.cuda.synchronize()
        return result

    return run


def make_ours(case: Case, device: str) -> tuple[Run, list[Any]]:
    """This package's forward computation on torch, and the parameters that it trains."""
    place = partial(mt.to_backend, name="torch", device=device)
    if case.work != "step":
        return prepare_ours(case, place), []
    module, batch = mt.to_module(place(mt.init(case.config))), place(draw_batch(case))
    return lambda: module(mt.pretraining_loss, batch).loss, list(module.parameters())


def make_transformers(case: Case, device: str) -> tuple[Run, list[Any]]:
    """The forward computation of transformers, and the parameters that it trains."""
    import torch
    import transformers

    transformers.logging.set_verbosity_error()
    known = transformers.TvltConfig().to_dict().keys() & case.config.to_dict().keys()
    config = transformers.TvltConfig(**{name: getattr(case.config, name) for name in known})
    kind = transformers.TvltModel if case.work == "inference" else transformers.TvltForPreTraining
    model = kind(config).to(device).train(case.work == "step")

    def place(array: np.ndarray) -> torch.Tensor:
        return torch.from_numpy(array).to(device)

    def make_masks(batch: int) -> dict[str, torch.Tensor]:  # as its processor gives them
        video, audio = (np.ones((batch, N), np.float32) for N in count_tokens(case))
        return {"pixel_mask": place(video.astype(int)), "audio_mask": place(audio)}

    clips, masks = draw_batch(case), make_masks(case.batch)
    inputs = {"pixel_values": place(clips.video), "audio_values": place(clips.audio)}
    if case.work == "inference":
        return partial(model, **inputs, **masks), []
    inputs |= {"pixel_values_mixed": place(clips.mixed_video), "pixel_mask_mixed": masks["pixel_mask"]}
    inputs["labels"] = place(clips.is_match.astype(np.float32))
    return lambda: model(**inputs, **masks).loss, list(model.parameters())


def prepare_librosa(case: Case) -> Run:
    """Power in mel bins, decibel, [-1, 1]."""
    import librosa

    config, waveform = case.config, draw_waveform(case)
    geometry = {"n_fft": config.window_length, "hop_length": config.hop_length}
    geometry |= {"sr": config.sample_rate, "n_mels": config.frequency_length}

    def run() -> np.ndarray:
        decibel = librosa.power_to_db(librosa.feature.melspectrogram(y=waveform, **geometry), top_db=80.0)
        return np.clip((decibel - 20.0) / 40.0, -2.0, 0.0) + 1.0

    return run


def prepare_extractor(case: Case) -> Run:
    """The spectrogram of transformers alone, without the padding and masks of its feature extractor."""
    import transformers

    extractor, waveform = transformers.TvltFeatureExtractor(), draw_waveform(case)
    return lambda: extractor._np_extract_fbank_features(waveform)


PREPARE_SPECTROGRAM = {"librosa": prepare_librosa, "transformers": prepare_extractor}
