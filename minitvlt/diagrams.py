"""Pictures that explain: numbered patches, positions, weights over a clip, in the style of all our pictures.

`minitvlt.plotting` draws what a clip or a run is; here is drawn how the model works, for the notebooks.
"""

from collections.abc import Sequence

import matplotlib.style
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minitvlt.drawing import STYLE, Picture, with_style


def use_style() -> None:
    """Draw everything that follows in the style of our pictures, for a notebook that draws by itself."""
    matplotlib.style.use(["default", STYLE])


@with_style
def new_axes(
    rows: int = 1,
    columns: int = 1,
    size: tuple[float, float] = (11, 3.4),
    titles: Sequence[str] = (),
    x: str = "",
    y: str = "",
) -> tuple[Figure, list[Axes]]:
    """Make a figure in the style of all our pictures, with axes to draw on.

    Args:
        rows: of axes.
        columns: of axes.
        size: width and height of the figure in inches.
        titles: one for each of the axes, row by row.
        x: what runs along the lower edge of all axes, with its unit.
        y: what runs along the left edge of all axes, with its unit.
    """
    figure = Picture(figsize=size, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).flat)
    for one, title in zip(axes, titles, strict=False):
        one.set_title(title)
    for number, one in enumerate(axes):
        one.set_xlabel(x if number >= (rows - 1) * columns else "")
        one.set_ylabel(y if number % columns == 0 else "")
    return figure, axes
