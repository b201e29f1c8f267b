"""The log-mel picture as librosa and as the processor of transformers 4.40.2 make it."""

from typing import Any

import numpy as np
from jaxtyping import Float

from minitvlt.bench.cases import Case, draw_waveforms
from minitvlt.bench.ours import Run
from minitvlt.config import Config


def prepare_librosa(case: Case) -> Run:
    """One sound after the other, as librosa's functions are put together for it."""
    import librosa

    config, waveforms = case.config, draw_waveforms(case)

    def run() -> list[Float[np.ndarray, "F S"]]:
        return [compute_by_librosa(librosa, waveform, config) for waveform in waveforms]

    return run


def compute_by_librosa(
    librosa: Any, waveform: Float[np.ndarray, " samples"], config: Config
) -> Float[np.ndarray, "F S"]:
    """Power in mel bins, decibel, [-1, 1]."""
    power = librosa.feature.melspectrogram(
        y=waveform,
        sr=config.sample_rate,
        n_fft=config.window_length,
        hop_length=config.hop_length,
        n_mels=config.frequency_length,
    )
    decibel = librosa.power_to_db(power, top_db=80.0)
    return np.clip((decibel - 20.0) / 40.0, -2.0, 0.0) + 1.0


def prepare_extractor(case: Case) -> Run:
    """The picture alone, without the padding and the mask that the extractor's call makes besides."""
    extractor, waveforms = make_extractor(case.config), draw_waveforms(case)
    return lambda: [extractor._np_extract_fbank_features(waveform) for waveform in waveforms]


def make_extractor(config: Config) -> Any:
    """The feature extractor of transformers with the geometry of a configuration."""
    import transformers

    return transformers.TvltFeatureExtractor(
        spectrogram_length=config.spectrogram_length,
        patch_size=list(config.audio_patch_size),
        feature_size=config.frequency_length,
        sampling_rate=config.sample_rate,
        hop_length_to_sampling_rate=config.sample_rate // config.hop_length,
        n_fft=config.window_length,
    )
