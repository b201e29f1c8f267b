"""A report is one well-formed page that needs nothing but itself."""

import base64
import re
import wave
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest

from minitvlt.views.report import Illustration, Measure, Sound, Summary, format_measure, write_report

VOID = {"meta", "img", "link", "br", "hr", "input"}
PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII="
)


class Page(HTMLParser):
    """Collects elements and text, and insists that every element is closed in its turn."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if "style" not in self.open:
            self.text += data

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]


def write_example(folder: Path) -> Path:
    (folder / "curves.png").write_bytes(PNG)
    with wave.open(str(folder / "sound.wav"), "wb") as sound:
        sound.setparams((1, 2, 8000, 0, "NONE", ""))
        sound.writeframes(np.arange(7, dtype="<i2").tobytes())
    summary = Summary(
        title="Shapes & <sounds>",
        introduction="Measured on 512 clips.",
        command="minitvlt pretrain --out 'my <run>' && true",
        measures=[Measure("matching accuracy", 0.951, chance=0.5, goal=0.93), Measure("loss", 0.25)],
        facts={"steps": "3,000", "seed": "0"},
        config={"image_size": (24, 32), "name": "<b>&\"'"},
    )
    illustrations = [Illustration(folder / "curves.png", "Curves", "How to read it.", 'Loss "falls" to 0.2')]
    return write_report(folder, summary, illustrations, [Sound(folder / "sound.wav", "The original")])


def test_the_page_is_well_formed_and_tells_everything(tmp_path: Path) -> None:
    path = write_example(tmp_path)
    assert path == tmp_path / "report.html"
    text = path.read_text(encoding="utf-8")
    assert text.startswith("<!DOCTYPE html>\n")
    page = Page(text)
    for said in ("Shapes & <sounds>", "Measured on 512 clips.", "minitvlt pretrain --out 'my <run>' && true"):
        assert said in page.text
    for said in ("steps 3,000 · seed 0", "image_size", "(24, 32)", "<b>&\"'", "Curves", "How to read it."):
        assert said in page.text
    for tag in ("html", "head", "title", "body", "main", "h1"):
        assert len(page.attributes(tag)) == 1


def test_pictures_and_sounds_are_inside_and_described(tmp_path: Path) -> None:
    page = Page(write_example(tmp_path).read_text(encoding="utf-8"))
    [picture], [player] = page.attributes("img"), page.attributes("audio")
    assert picture["alt"] == 'Loss "falls" to 0.2'
    assert player["aria-label"] == "The original"
    for source, name in ((picture["src"], "curves.png"), (player["src"], "sound.wav")):
        assert base64.b64decode(source.partition(";base64,")[2]) == (tmp_path / name).read_bytes()


def test_nothing_is_loaded_from_elsewhere_and_nothing_runs(tmp_path: Path) -> None:
    text = write_example(tmp_path).read_text(encoding="utf-8")
    page = Page(text)
    sources = [
        attributes[key] for _, attributes in page.elements for key in ("src", "href") if key in attributes
    ]
    assert len(sources) == 2 and all(source.startswith("data:") for source in sources)
    assert not page.attributes("script") and not page.attributes("link")
    assert not re.search(r"https?:|url\(|@import", text)
    assert any(
        "default-src 'none'" in (attributes.get("content") or "") for attributes in page.attributes("meta")
    )


def test_the_same_run_gives_the_same_bytes(tmp_path: Path) -> None:
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    assert write_example(tmp_path / "one").read_bytes() == write_example(tmp_path / "two").read_bytes()


@pytest.mark.parametrize(
    ("measure", "goal", "verdict", "width"),
    [
        (Measure("accuracy", 0.93, chance=0.5, goal=0.93), "≥ 0.93", "✓ reached", 100),
        (Measure("accuracy", 0.60, chance=0.5, goal=0.9), "≥ 0.9", "not reached", 25),
        (Measure("accuracy", 0.40, chance=0.5, goal=0.9), "≥ 0.9", "not reached", 0),
        (Measure("relative error", 0.3, chance=1.0, goal=0.35), "≤ 0.35", "✓ reached", 100),
        (Measure("relative error", 0.8, chance=1.0, goal=0.5), "≤ 0.5", "not reached", 40),
        (Measure("relative error", float("nan"), chance=1.0, goal=0.5), "≤ 0.5", "not reached", 0),
    ],
)
def test_a_figure_stands_beside_chance_and_goal(
    measure: Measure, goal: str, verdict: str, width: int
) -> None:
    row = Page(format_measure(measure))
    assert row.text == f"{measure.name}{measure.value:.4g}{measure.chance:.4g}{goal}{verdict}"
    [bar] = [attributes["style"] for attributes in row.attributes("span") if "style" in attributes]
    assert bar == f"width: {width}%"


def test_a_figure_without_a_goal_is_only_told() -> None:
    assert Page(format_measure(Measure("loss", 0.25))).text == "loss0.25––"
    assert Page(format_measure(Measure("loss", 0.25, chance=0.693))).text == "loss0.250.693–"


def test_a_goal_needs_a_chance_level() -> None:
    with pytest.raises(ValueError, match="accuracy: a goal needs a chance level"):
        Measure("accuracy", 0.9, goal=0.93)
    with pytest.raises(ValueError, match=r"differs from it, got 0\.5"):
        Measure("accuracy", 0.9, chance=0.5, goal=0.5)


def test_a_bare_report_has_no_empty_sections(tmp_path: Path) -> None:
    summary = Summary("Run", "Nothing yet.", "minitvlt pretrain", measures=[], facts={}, config={})
    page = Page(write_report(tmp_path, summary, []).read_text(encoding="utf-8"))
    assert not page.attributes("table") and not page.attributes("img") and not page.attributes("details")


@pytest.mark.parametrize(("content", "message"), [(None, "is not there"), (b"GIF89a", "is none")])
def test_a_missing_or_wrong_picture_is_refused_and_the_old_report_stays(
    tmp_path: Path, content: bytes | None, message: str
) -> None:
    path = write_example(tmp_path)
    before = path.read_bytes()
    (tmp_path / "curves.png").unlink()
    other = tmp_path / "other.png"
    if content is not None:
        other.write_bytes(content)
    summary = Summary("Run", "", "minitvlt pretrain", measures=[], facts={}, config={})
    with pytest.raises(ValueError, match=message):
        write_report(tmp_path, summary, [Illustration(other, "Curves", "", "")])
    assert path.read_bytes() == before
