"""`minitvlt reconstruct`: what was hidden of a clip, filled in: seen, heard and watched."""

from pathlib import Path

import numpy as np
import pytest

from minitvlt.__main__ import main
from minitvlt.checkpoints.native import save
from minitvlt.config import Config
from minitvlt.model.parameters import init
from minitvlt.signals.media import Clip, read_clip, write_clip
from minitvlt.signals.waveforms import write_wav
from tests.helpers.media import make_frames, make_sweep, needs_av

pytestmark = needs_av

CONFIG = Config.tiny(
    image_size=(8, 12),
    image_patch_size=(4, 4),
    num_frames=3,
    sample_rate=6000,  # no rate that AAC has
    window_length=128,
    hop_length=60,
    spectrogram_length=40,  # 0.4 s
    frequency_length=8,
    audio_patch_size=(8, 4),
    hidden_size=8,
    num_hidden_layers=1,
    num_attention_heads=2,
    intermediate_size=12,
    decoder_hidden_size=6,
    decoder_num_hidden_layers=1,
    decoder_num_attention_heads=2,
    decoder_intermediate_size=10,
)
FILES = {"reconstruction.png", "reconstruction.wav", "reconstruction.mp4"}


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    save(init(CONFIG), "model.safetensors")
    write_clip("film.mp4", Clip(make_frames(25, 18, 22), 25.0, make_sweep(1.0, 8000), 8000))


def reconstruct(*words: str) -> int:
    return main(["reconstruct", "--checkpoint", "model.safetensors", *words])


def list_files() -> set[str]:
    return {str(path) for path in Path().rglob("*") if path.is_file()}


def refuse(capsys, *words: str) -> str:
    """Run a command that must fail: status 2, one line of error, nothing written; return the line."""
    before = list_files()
    capsys.readouterr()
    assert reconstruct(*words) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and err.startswith("minitvlt reconstruct: ")
    assert list_files() == before and not Path("reconstruction").exists()
    return err


def test_writes_a_picture_a_sound_and_a_film_and_nothing_else(capsys):
    before = list_files()
    assert reconstruct("film.mp4", "--out", "new/made") == 0
    assert list_files() - before == {f"new/made/{name}" for name in FILES}
    assert "new/made" in capsys.readouterr().out
    sound = read_clip("new/made/reconstruction.wav")
    assert sound.sample_rate == 6000 and len(sound.waveform) == 40 * 60
    film = read_clip("new/made/reconstruction.mp4")
    assert film.frames.shape == (3, 128, 192, 3), "16 times as large"
    assert film.frame_rate == pytest.approx(3 / 0.4, rel=0.01)
    assert film.sample_rate == 44100
    np.testing.assert_allclose(len(film.waveform) / 44100, 0.4, atol=0.05)


def test_the_seed_decides_what_is_hidden():
    for name, seed in (("a", "1"), ("b", "1"), ("c", "2")):
        reconstruct("film.mp4", "--seed", seed, "--out", name)
    pictures = [Path(name, "reconstruction.png").read_bytes() for name in "abc"]
    assert pictures[0] == pictures[1] != pictures[2]


def test_a_clip_shorter_than_the_spectrogram_is_no_longer_afterwards():
    write_clip("short.mp4", Clip(make_frames(4, 18, 22), 25.0, make_sweep(0.16, 8000), 8000))
    assert reconstruct("short.mp4") == 0
    sound = read_clip("reconstruction/reconstruction.wav")
    assert 0.16 <= len(sound.waveform) / 6000 <= 0.16 + 8 * 60 / 6000 + 0.13, (
        "whole patches, AAC's last block"
    )


def test_a_later_span_is_another_one():
    reconstruct("film.mp4", "--out", "early")
    reconstruct("film.mp4", "--start", "0.5", "--out", "late")
    early, late = (Path(name, "reconstruction.wav").read_bytes() for name in ("early", "late"))
    assert early != late


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["nothing.mp4"], "there is no such file"),
        (["notes.mp4"], "cannot be decoded"),
        (["tone.wav"], "no frames"),
        (["silent.mp4"], "no audio"),
        (["film.mp4", "--start", "9"], "holds nothing from 9.0 s"),
        (["film.mp4", "--start", "-1"], "expected seconds"),
        (["film.mp4", "--seed", "-1"], "--seed must be at least 0"),
        (["film.mp4", "--checkpoint", "nothing.safetensors"], "is not there"),
        (["film.mp4", "--checkpoint", "notes.mp4"], "damaged, or no safetensors file"),
        (["film.mp4", "--checkpoint", "matching.safetensors"], "holds no decoder"),
        (["film.mp4", "--checkpoint", "grey.safetensors"], "Expected video with 1 channels"),
        (["film.mp4", "--out", "full"], "full is not empty, and nothing is overwritten"),
        (["film.mp4", "--out", "notes.mp4"], "notes.mp4 is a file"),
    ],
)
def test_bad_requests_are_refused_before_anything_is_written(capsys, words, expected):
    Path("notes.mp4").write_text("this is no film")
    write_wav("tone.wav", make_sweep(0.5, 8000), 8000)
    write_clip("silent.mp4", Clip(make_frames(9, 18, 22), 25.0, None, 0))
    save(init(CONFIG.replace(task_mae=False)), "matching.safetensors")
    save(init(CONFIG.replace(num_image_channels=1)), "grey.safetensors")
    Path("full").mkdir()
    Path("full/diary.txt").write_text("mine")
    assert expected in refuse(capsys, *words)
