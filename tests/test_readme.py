"""What the README says can be typed, and the pictures that it shows are there."""

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

import minitvlt as mt
from tests.helpers.media import make_frames, make_sweep, needs_av, write_media
from tests.helpers.syntax import list_code_lines

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)


def test_the_first_lines_of_python_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    found: dict[str, object] = {}
    exec(compile(PYTHON[0], "README.md", "exec"), found)
    shapes = tuple(getattr(found["out"], name).shape for name in ("cls", "video", "audio"))
    assert f"# {shapes}" in PYTHON[0], "the shapes that the comment promises"
    assert (tmp_path / "gradients.safetensors").exists()


@needs_av
def test_the_lines_about_a_published_checkpoint_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    sizes = {"image_size": 32, "num_frames": 3, "spectrogram_length": 64}
    config = mt.Config(**sizes, hidden_size=24, num_attention_heads=2, num_hidden_layers=1, task_mae=False)
    mt.to_huggingface(mt.init(config), tmp_path / "tvlt-base")
    write_media(tmp_path / "film.mp4", make_frames(32, 32, 34), np.arange(32.0), make_sweep(32.0, 8000), 8000)
    mt.write_wav(tmp_path / "song.wav", make_sweep(0.3, 16000), 16000)
    Image.fromarray(make_frames(1, 40, 30)[0]).save(tmp_path / "photo.png")
    found: dict[str, object] = {"mt": mt}
    exec(compile(PYTHON[1], "README.md", "exec"), found)
    made, out = found["made"], found["out"]
    assert made.video_mask.any(axis=1).tolist() == [True, False, True]
    assert made.audio_mask.any(axis=1).tolist() == [True, True, False]
    assert out.sequence.shape[0] == 3 and np.isfinite(out.sequence).all()


def test_files_and_pictures_that_it_links_to_are_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 10
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


def test_the_reading_order_tells_how_long_each_file_is() -> None:
    rows = re.findall(r"^\| \[`\w+`\]\(([\w/]+\.py)\) \| (\d+) \|", README, re.MULTILINE)
    assert len(rows) == 10
    assert rows == [(path, str(len(list_code_lines(ROOT / path)))) for path, _ in rows]


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 130


def test_pictures_have_a_text_that_stands_in_for_them() -> None:
    pictures = re.findall(r"!\[([^\]]*)\]", README)
    assert pictures and all(len(text) > 20 for text in pictures)
