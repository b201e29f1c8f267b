"""What notebooks show has a text that stands in for it, and needs nothing of Jupyter."""

import base64
import io
import re
import sys
from typing import Any

import numpy as np
import pytest
from PIL import Image
from scipy.io import wavfile

from minitvlt import notebook
from minitvlt.diagrams import new_axes
from minitvlt.drawing import encode_png
from minitvlt.model.patches import patchify_audio, patchify_video
from minitvlt.notebook import Slider, play, show, show_source, side_by_side

TEXT = 'A line that rises "steeply" & falls <again>.'


def make_figure(width: float = 5, height: float = 2) -> Any:
    figure, (axes,) = new_axes(size=(width, height))
    axes.plot([1, 3, 2])
    return figure


def decode(html: str, media_type: str) -> bytes:
    (content,) = re.findall(rf"data:{media_type};base64,([A-Za-z0-9+/=]+)", html)
    return base64.b64decode(content)


def test_a_figure_is_shown_as_its_png_beside_a_text_that_is_escaped():
    figure = make_figure()
    shown = show(figure, TEXT)
    assert decode(shown._repr_html_(), "image/png") == encode_png(figure)
    assert 'alt="A line that rises &quot;steeply&quot; &amp; falls &lt;again&gt;."' in shown.html
    assert repr(shown) == TEXT


@pytest.mark.parametrize(("size", "width"), [((5, 2), 400), ((11, 8), 880), ((11, 16), 440)])
def test_a_figure_stands_on_the_screen_as_a_whole(size, width):
    shown = show(make_figure(*size), TEXT)
    assert f' width="{width}"' in shown.html
    across, down = Image.open(io.BytesIO(decode(shown.html, "image/png"))).size
    assert width * down / across <= notebook.HIGHEST + 1


def test_a_figure_without_a_text_is_refused():
    with pytest.raises(ValueError, match="alt must say what the picture shows"):
        show(make_figure(), "a figure")


def test_a_sound_is_played_under_its_label():
    wave = np.sin(np.arange(800) / 5).astype(np.float32)
    shown = play(wave, 8000, "A <tone>")
    rate, samples = wavfile.read(io.BytesIO(decode(shown.html, "audio/wav")))
    assert rate == 8000
    np.testing.assert_allclose(samples / 32768, wave, atol=1 / 32768)
    assert shown.html.count("A &lt;tone&gt;") == 2 and repr(shown) == "A <tone> (0.10 s of sound)"
    with pytest.raises(ValueError, match="label must say what is heard"):
        play(wave, 8000, "")


def test_exhibits_stand_side_by_side():
    wave = np.zeros(80, np.float32)
    both = side_by_side(play(wave, 8000, "one"), play(wave, 8000, "other"))
    assert both.html.count("<audio") == 2 and both.html.index(">one<") < both.html.index(">other<")
    assert repr(both) == "one (0.01 s of sound)\nother (0.01 s of sound)"


def test_source_is_shown_under_a_link_to_its_file():
    shown = show_source(patchify_video, patchify_audio)
    text = shown._repr_markdown_()
    assert text.startswith(
        "[`minitvlt/model/patches.py`](../minitvlt/model/patches.py)\n\n```python\ndef patch"
    )
    assert text.index("def patchify_video") < text.index("def patchify_audio") and text.endswith("```")
    assert "def unpatchify" not in text and repr(shown) in text


def draw(value: float) -> notebook.Exhibit:
    return show(make_figure(), f"A line, drawn for the value {value}.")


def test_a_slider_moves_its_picture():
    pytest.importorskip("ipywidgets")
    slider, picture = Slider(draw, "value", (1.0, 2.5), 2.5).make_widget().children
    assert picture.value == draw(2.5).html
    slider.value = 1.0
    assert picture.value == draw(1.0).html


def test_beside_a_slider_there_is_the_picture_of_its_start():
    pytest.importorskip("ipywidgets")
    bundle = Slider(draw, "value", (1.0, 2.5), 2.5)._repr_mimebundle_(include=None)
    assert "application/vnd.jupyter.widget-view+json" in bundle
    assert bundle["text/html"] == draw(2.5).html


def test_where_widgets_are_missing_the_first_picture_stands_in(monkeypatch):
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    bundle = Slider(draw, "value", (1.0, 2.5), 2.5)._repr_mimebundle_()
    assert bundle == {"text/html": draw(2.5).html, "text/plain": "A line, drawn for the value 2.5."}
