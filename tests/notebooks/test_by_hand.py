"""What the reader of a notebook writes agrees with the package; the code of folded answers runs."""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import helpers.notebook
import minitvlt as mt
from minitvlt.model import pretraining, tvlt
from minitvlt.signals import spectrogram

HERE = Path(__file__).parents[2] / "notebooks"
Names = dict[str, Any]
RNG = np.random.default_rng(15)
WAVE, POWER = RNG.normal(size=301), RNG.uniform(size=(7, 5)) ** 20
NOISE, TOKENS = RNG.uniform(size=(3, 10)), RNG.normal(size=(3, 10, 4))
MASKING = mt.random_masking(NOISE, 0.9)
MASKED = (MASKING.keep, MASKING.restore, MASKING.is_hidden)
VIDEO = RNG.normal(size=(2, 4, 3, 6, 9))

CONFIG = mt.Config.tiny(num_frames=2, image_size=(24, 36), spectrogram_length=16, frequency_length=24)
PARAMS = mt.to_backend(mt.init(CONFIG, seed=1), "numpy", dtype="float64")
ENCODER, CLIPS = PARAMS.encoder, mt.ShapesWorld(CONFIG).sample(RNG, 3)
BATCH = mt.make_batch(CLIPS, CONFIG, RNG)
EMBEDDED = tvlt.embed_clips(PARAMS, (CLIPS.video, CLIPS.audio), (None, None))
WHOLE = mt.forward(PARAMS, CLIPS.video, CLIPS.audio, return_hidden=True)


def fill_in(by_hand: Callable) -> tuple[Any, Any]:
    """The reader's decoder for audio, which reads some names of the notebook."""
    decoder, masks = PARAMS.decoder, (BATCH.video_masking, BATCH.audio_masking)
    by_hand.__globals__.update(decoder=decoder, config=CONFIG, eps=CONFIG.layer_norm_eps)
    kept = [pretraining.keep_tokens(x, masking) for x, masking in zip(EMBEDDED, masks, strict=True)]
    places = tvlt.audio_position_embedding(decoder.audio_positions, CONFIG, CLIPS.audio.shape)
    ours = by_hand(
        mt.encode(PARAMS, *kept).audio, masks[1], decoder.audio_mask_token, places, decoder.audio_head
    )
    return ours, mt.autoencode(PARAMS, BATCH)[1]


# (number of a notebook, function that the reader writes): what it gives, and what the package gives
BY_HAND: dict[tuple[str, str], Callable[[Callable], tuple[Any, Any]]] = {
    ("01", "cut_frames"): lambda f: (f(WAVE, 34, 9), spectrogram.frame_waveform(WAVE, 34, 9)),
    ("01", "hann_window"): lambda f: (f(34), spectrogram.make_window(34)),
    ("01", "stft"): lambda f: (f(WAVE, 34, 9), spectrogram.compute_stft(WAVE, 34, 9)),
    ("01", "mel_filters"): lambda f: (f(8000, 5, 34), spectrogram.make_mel_filters(8000, 5, 34)),
    ("01", "to_decibel"): lambda f: (f(POWER), spectrogram.power_to_decibel(POWER)),
    ("01", "log_mel"): lambda f: (f(WAVE, 8000, 5, 34, 9), mt.log_mel_spectrogram(WAVE, 8000, 5, 34, 9)),
    ("02", "patchify_video"): lambda f: (f(VIDEO, 2, 3), mt.patchify_video(VIDEO, (2, 3))),
    ("02", "patchify_audio"): lambda f: (f(VIDEO[:, 0], 2, 3), mt.patchify_audio(VIDEO[:, 0], (2, 3))),
    ("03", "random_masking"): lambda f: (np.concatenate(f(NOISE, 0.9), 1), np.concatenate(MASKED, 1)),
    ("03", "keep_tokens"): lambda f: (f(TOKENS, MASKING.keep), pretraining.keep_tokens(TOKENS, MASKING)),
    ("03", "restore_tokens"): lambda f: (
        f(TOKENS[:, :1], TOKENS[0, 0], MASKING.restore),
        pretraining.restore_tokens(TOKENS[:, :1], TOKENS[0, 0], MASKING),
    ),
    ("05", "video_positions"): lambda f: (
        f(ENCODER.video_positions, 2),
        tvlt.video_position_embedding(ENCODER.video_positions, CONFIG, CLIPS.video.shape),
    ),
    ("05", "audio_positions"): lambda f: (
        f(ENCODER.audio_positions, 2),
        tvlt.audio_position_embedding(ENCODER.audio_positions, CONFIG, CLIPS.audio.shape),
    ),
    ("05", "join"): lambda f: (f(ENCODER.cls, *EMBEDDED), WHOLE.hidden[0]),
    ("05", "run_encoder"): lambda f: (
        f(WHOLE.hidden[0], ENCODER.blocks, ENCODER.norm, 4, 1e-6),
        WHOLE.sequence,
    ),
    ("05", "matching_head"): lambda f: (
        f(PARAMS.matching, WHOLE.cls),
        mt.score_matches(PARAMS, CLIPS.video, CLIPS.audio),
    ),
    ("05", "fill_in"): fill_in,
}
ANSWERED = ("00", "01", "02", "03", "05")  # notebooks whose folded answers hold code


def list_cells(number: str, is_code: bool) -> list[str]:
    """List the sources of the cells of code, or of the cells of text."""
    (path,) = HERE.glob(f"{number}_*.py")
    cells = re.split(r"^# %%(.*)\n", path.read_text("utf-8"), flags=re.M)[1:]
    return [
        text if is_code else re.sub(r"^# ?", "", text, flags=re.M)
        for head, text in zip(cells[::2], cells[1::2], strict=True)
        if ("[markdown]" not in head) == is_code
    ]


def define(number: str) -> Names:
    """Execute imports and definitions of a notebook, and nothing else of it."""
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree = ast.parse("\n".join(list_cells(number, is_code=True)))
    tree.body = [node for node in tree.body if isinstance(node, kinds)]
    names: Names = {"mt": mt}
    exec(compile(tree, number, "exec"), names)
    return names


@pytest.mark.parametrize(("number", "name"), BY_HAND)
def test_what_the_reader_writes_agrees_with_the_package(number, name):
    ours, theirs = BY_HAND[number, name](define(number)[name])
    np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("number", ANSWERED)
def test_the_code_of_folded_answers_runs_after_the_cells(number, monkeypatch):
    monkeypatch.chdir(HERE)
    monkeypatch.setattr(helpers.notebook, "show", lambda *_, **__: None)  # drawing takes long
    names: Names = {}
    for cell in list_cells(number, is_code=True):
        exec(cell, names)
    answers = re.findall(
        r"<details>.*?```python\n(.*?)```.*?</details>", "".join(list_cells(number, False)), re.S
    )
    assert len(answers) >= 3
    for answer in answers:
        exec(answer, dict(names))
