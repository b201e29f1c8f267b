"""What the reader of a notebook writes agrees with the package; the code of folded answers runs."""

import ast
import re
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

pytest.importorskip("jupytext", reason="the sources of notebooks are read by jupytext")
import build
import helpers.notebook
import minitvlt as mt
from minitvlt.model import pretraining
from minitvlt.signals import spectrogram
from tests.notebooks import test_formulas as given

Pair = tuple[Any, Any]  # what the reader's function gives, and what the package gives
NOISE, TOKENS = given.RNG.normal(size=(2, 3, 10))
MASKING = mt.random_masking(NOISE, 0.9)


def fill_in(by_hand: Callable) -> Pair:
    """Predict the audio with your decoder, which uses some names of the notebook."""
    config, decoder, clip = given.CONFIG, given.PARAMS.decoder, given.CLIP
    by_hand.__globals__.update(config=config, decoder=decoder, eps=config.layer_norm_eps)
    batch = mt.make_batch(clip, config, np.random.default_rng(0))
    masks, tokens = (batch.video_masking, batch.audio_masking), (given.Z_VIDEO, given.Z_AUDIO)
    kept = [pretraining.keep_tokens(x[None], masking) for x, masking in zip(tokens, masks, strict=True)]
    places = pretraining.audio_position_embedding(decoder.audio_positions, config, clip.audio.shape)
    y_kept = mt.encode(given.PARAMS, *kept).audio
    ours = by_hand(y_kept, masks[1], decoder.audio_mask_token, places, decoder.audio_head)
    return ours, mt.autoencode(given.PARAMS, batch)[1]


BY_HAND: dict[str, Callable[[Callable], Pair]] = {  # the notebook's number and the name of the function
    "01 cut_frames": lambda f: (f(given.WAVE, 34, 9), spectrogram.frame_waveform(given.WAVE, 34, 9)),
    "01 hann_window": lambda f: (f(given.M), given.WINDOW),
    "01 stft": lambda f: (f(given.WAVE, given.M, given.HOP), given.STFT),
    "01 mel_filters": lambda f: (f(given.RATE, given.BINS, given.M), given.FILTERS),
    "01 to_decibel": lambda f: (f(given.POWER**9), spectrogram.power_to_decibel(given.POWER**9)),
    "01 log_mel": lambda f: (f(given.WAVE, 800, 5, 34, 9), mt.log_mel_spectrogram(given.WAVE, 800, 5, 34, 9)),
    "02 patchify_video": lambda f: (f(given.VIDEO, 2, 3), mt.patchify_video(given.VIDEO, (2, 3))),
    "02 patchify_audio": lambda f: (f(given.PICTURE, 2, 3), mt.patchify_audio(given.PICTURE, (2, 3))),
    "03 random_masking": lambda f: (np.hstack(f(NOISE, 0.9)), np.hstack([*vars(MASKING).values()][:3])),
    "03 keep_tokens": lambda f: (
        f(NOISE[..., None], MASKING.keep),
        pretraining.keep_tokens(NOISE[..., None], MASKING),
    ),
    "03 restore_tokens": lambda f: (
        f(TOKENS[:, :1, None], TOKENS[0, :1], MASKING.restore),
        pretraining.restore_tokens(TOKENS[:, :1, None], TOKENS[0, :1], MASKING),
    ),
    "05 video_positions": lambda f: (f(given.E, 2), given.Z_VIDEO - given.E_VIDEO),
    "05 audio_positions": lambda f: (f(given.F, 2), given.Z_AUDIO - given.E_AUDIO),
    "05 join": lambda f: (
        f(given.ENCODER.cls, given.Z_VIDEO[None], given.Z_AUDIO[None]),
        given.WHOLE.hidden[0],
    ),
    "05 matching_head": lambda f: (
        f(given.HEAD, given.WHOLE.cls),
        mt.score_matches(given.PARAMS, given.CLIP.video, given.CLIP.audio),
    ),
    "05 fill_in": fill_in,
}
ANSWERED = ("00", "01", "02", "03", "05")  # notebooks whose folded answers hold code


def list_cells(number: str, kind: str) -> list[str]:
    """List the sources of the cells of one kind, "code" or "markdown"."""
    (path,) = build.HERE.glob(f"{number}_*.py")
    return [cell.source for cell in build.read_source(path).cells if cell.cell_type == kind]


@pytest.mark.parametrize("name", BY_HAND)
def test_what_the_reader_writes_agrees_with_the_package(name):
    """Imports and definitions of the notebook are executed, nothing else of it."""
    tree, names = ast.parse("\n".join(list_cells(name[:2], "code"))), {"mt": mt}
    kinds = (ast.Import, ast.ImportFrom, ast.FunctionDef, ast.ClassDef)
    tree.body = [node for node in tree.body if isinstance(node, kinds)]
    exec(compile(tree, name, "exec"), names)
    np.testing.assert_allclose(*BY_HAND[name](names[name[3:]]), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("number", ANSWERED)
def test_the_code_of_folded_answers_runs_after_the_cells(number, monkeypatch):
    monkeypatch.setattr(helpers.notebook, "show", lambda *_, **__: None)  # drawing takes long
    names: dict[str, Any] = {}
    for cell in list_cells(number, "code"):
        exec(cell, names)
    text = "".join(list_cells(number, "markdown"))
    answers = re.findall(
        r"```python\n(.*?)```", "".join(re.findall(r"<details>.*?</details>", text, re.S)), re.S
    )
    assert len(answers) >= 3
    for answer in answers:
        exec(answer, dict(names))
