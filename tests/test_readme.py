"""What the README says can be typed, and the pictures that it shows are there."""

import re
from pathlib import Path

import pytest

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


def test_all_python_is_correct_by_its_syntax() -> None:
    assert len(PYTHON) == 2
    for block in PYTHON:
        compile(block, "README.md", "exec")


def test_files_and_pictures_that_it_links_to_are_there() -> None:
    links = [link for link in re.findall(r"\]\(([^)]+)\)", README) if "://" not in link]
    assert len(links) > 10
    missing = [link for link in links if not (ROOT / link).exists()]
    assert not missing


def test_pictures_have_a_text_that_stands_in_for_them() -> None:
    pictures = re.findall(r"!\[([^\]]*)\]", README)
    assert len(pictures) >= 2 and all(len(text) > 20 for text in pictures)
