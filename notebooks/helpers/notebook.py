"""What a notebook shows beside plain text: pictures with an alt text, sounds, source, sliders.

Nothing here imports Jupyter: the functions return objects that Jupyter asks for HTML or Markdown, so they
work in JupyterLab, Colab and VS Code alike. Where nothing can be shown, their text is printed.
"""

import base64
import inspect
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float
from matplotlib.figure import Figure
from scipy.io import wavfile

import minitvlt
from minitvlt.signals.waveforms import check_channel
from minitvlt.views.figures import encode_png

WIDTH = (
    80  # pixels on the screen for an inch of a figure: letters of 14 points are as large as the text around
)
HIGHEST = 640  # pixels on the screen: a higher figure is shown smaller, so that it can be seen as a whole
SHORTEST_TEXT = 20  # letters: a shorter text describes no picture


@dataclass(frozen=True, repr=False)
class Exhibit:
    """Something that Jupyter shows as HTML, and any other place as text"""

    html: str
    text: str

    def _repr_html_(self) -> str:
        return self.html

    def __repr__(self) -> str:
        return self.text


@dataclass(frozen=True, repr=False)
class Source:
    """Python source that Jupyter shows with colours, under the name of its file"""

    code: str
    file: str

    def _repr_markdown_(self) -> str:
        return f"[`{self.file}`](../{self.file})\n\n```python\n{self.code}```"

    def __repr__(self) -> str:
        return self.code


@dataclass(frozen=True, repr=False)
class Slider:
    """A picture that follows a slider; where widgets do not run, the picture of the first value stands in."""

    draw: Callable[[Any], Exhibit]
    label: str
    values: Sequence[float]
    start: float

    def _repr_mimebundle_(self, **_: Any) -> dict[str, Any]:
        still = self.draw(self.start)
        bundle = {"text/html": still.html, "text/plain": still.text}
        try:
            return self.make_widget()._repr_mimebundle_() | bundle
        except ModuleNotFoundError:
            return bundle

    def make_widget(self) -> Any:
        """Put a slider above the picture that it moves; ModuleNotFoundError without ipywidgets."""
        import ipywidgets

        picture = ipywidgets.HTML(self.draw(self.start).html)
        slider = ipywidgets.SelectionSlider(
            options=[(f"{value:g}", value) for value in self.values],
            value=self.start,
            description=self.label,
            style={"description_width": "initial"},
        )
        slider.observe(lambda change: setattr(picture, "value", self.draw(change["new"]).html), "value")
        return ipywidgets.VBox([slider, picture])


def show(figure: Figure, alt: str) -> Exhibit:
    """Show a figure, as the last line of a cell, with a text that says what is seen to those who cannot.

    Raises:
        ValueError: a text that is too short to describe a picture.
    """
    if len(alt) < SHORTEST_TEXT:
        raise ValueError(f"alt must say what the picture shows, in {SHORTEST_TEXT} letters or more: {alt!r}.")
    across, down = figure.get_size_inches()
    width = round(across * min(WIDTH, HIGHEST / down))
    picture = base64.b64encode(encode_png(figure)).decode("ascii")
    attributes = f'alt="{escape(alt)}" width="{width}" style="max-width: 100%; height: auto"'
    return Exhibit(f'<img {attributes} src="data:image/png;base64,{picture}">', alt)


def play(waveform: Float[np.ndarray, " samples"], sample_rate: int, label: str) -> Exhibit:
    """Show a player for a sound, with what is heard written above it.

    Raises:
        ValueError: a waveform or a rate that no WAV file holds, or no label.
    """
    if not label:
        raise ValueError("label must say what is heard.")
    check_channel(waveform)
    file = io.BytesIO()
    wavfile.write(file, sample_rate, np.clip(np.rint(waveform * 32768.0), -32768, 32767).astype(np.int16))
    sound = base64.b64encode(file.getvalue()).decode("ascii")
    player = f'<audio controls aria-label="{escape(label)}" src="data:audio/wav;base64,{sound}"></audio>'
    return Exhibit(
        f"<p>{escape(label)}</p>{player}", f"{label} ({len(waveform) / sample_rate:.2f} s of sound)"
    )


def side_by_side(*exhibits: Exhibit) -> Exhibit:
    """Show several exhibits in one row, as far as there is room."""
    cells = "".join(f'<td style="text-align: left">{exhibit.html}</td>' for exhibit in exhibits)
    return Exhibit(f"<table><tr>{cells}</tr></table>", "\n".join(exhibit.text for exhibit in exhibits))


def show_source(*functions: Callable[..., Any]) -> Source:
    """Show the source of functions or classes of one file: the lesson where the code itself is the lesson."""
    originals = [inspect.unwrap(function) for function in functions]
    root = Path(minitvlt.__file__).parents[1]
    file = Path(inspect.getsourcefile(originals[0])).relative_to(root)
    return Source("\n\n".join(inspect.getsource(original) for original in originals), file.as_posix())
