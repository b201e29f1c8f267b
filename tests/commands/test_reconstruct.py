"""`minitvlt reconstruct`: what was hidden of a clip, predicted: seen, heard and watched."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from minitvlt.checkpoints.native import save
from minitvlt.commands.main import main
from minitvlt.model.parameters import init
from minitvlt.signals.media import read_clip
from tests.commands.small import CONFIG, read_everything, write_film, write_oddities
from tests.helpers.media import needs_av

pytestmark = needs_av

MODEL = CONFIG.replace(image_size=(24, 36), sample_rate=6000, hop_length=250)  # no rate that AAC has


@pytest.fixture(autouse=True)
def at_work_with_a_film(at_work: None) -> None:
    Path("run").mkdir()
    save(init(MODEL), "run/model.safetensors")
    write_film(Path("film.mp4"), seed=0, seconds=3.0)


def test_writes_a_picture_a_sound_and_a_film_and_nothing_else() -> None:
    before = set(read_everything())
    assert main(["reconstruct", "film.mp4", "--out", "new/made"]) == 0
    made = {"reconstruction.png", "reconstruction.wav", "reconstruction.mp4"}
    assert set(read_everything()) - before == {f"new/made/{name}" for name in made}
    sound = read_clip("new/made/reconstruction.wav")
    assert sound.sample_rate == 6000 and len(sound.waveform) == 24 * 250
    film = read_clip("new/made/reconstruction.mp4")
    assert film.frames.shape[1:] == (144, 216, 3), "6 times as large"
    assert film.sample_rate == 44100
    np.testing.assert_allclose(len(film.waveform) / 44100, 1.0, atol=0.05)


def test_seed_and_start_decide_what_is_written(undrawn) -> None:
    for name, words in {"a": [], "b": [], "seed": ["--seed", "1"], "start": ["--start", "1.2"]}.items():
        assert main(["reconstruct", "film.mp4", *words, "--out", name]) == 0
    a, b, seed, start = (read_everything(name) for name in ("a", "b", "seed", "start"))
    assert a == b and all(a["reconstruction.wav"] != other["reconstruction.wav"] for other in (seed, start))


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nothing.mp4"], "there is no such file"),
        (["tone.wav"], "tone.wav"),
        (["silent.mp4"], "silent.mp4"),
        (["film.mp4", "--seed", "-1"], "--seed of at least 0, got -1"),
        (["film.mp4", "--checkpoint", "matching.safetensors"], "has no decoder"),
        (["film.mp4", "--out", "run"], "run exists, and nothing is overwritten"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_written(refuse: Callable, words, expected) -> None:
    write_oddities(Path())
    save(init(CONFIG.replace(task_mae=False)), "matching.safetensors")
    assert expected in refuse("reconstruct", *words)
