"""The bar chart of a comparison, in the style of all our pictures."""

from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from minitvlt.bench.contenders import PEERS, parse_contender
from minitvlt.bench.results import Row, format_seconds
from minitvlt.drawing import HIDDEN_COLOUR, NEUTRAL_COLOUR, Picture, place, with_style

BAR, ABOVE, BELOW = 0.42, 0.5, 0.85  # inches: a bar's share of a panel, room for its title and for its axis
WIDTH, RIGHT, LETTER = 7.6, 1.3, 0.105


@with_style
def plot_rows(rows: Sequence[Row]) -> Figure:
    """A panel for each case, a bar for each contender: the median time, its quartiles, and the floor.

    This package is dark, others are light. A contender that failed has a name and no bar. Where each took as
    many clips at once as fitted, the times are those of one clip.

    Raises:
        ValueError: no row.
    """
    if not rows:
        raise ValueError("There is nothing to draw: no contender has been measured.")
    panels: dict[str, list[Row]] = {}
    for row in rows:
        panels.setdefault(row.case.title, []).append(row)
    heights = [BAR * len(panel) for panel in panels.values()]
    left = 0.4 + LETTER * max(len(row.contender) for row in rows)
    figure = Picture(figsize=(left + WIDTH + RIGHT, sum(heights) + len(heights) * (ABOVE + BELOW)))
    top = 0.0
    for panel, height in zip(panels.values(), heights, strict=True):
        draw_panel(place(figure, left, top + ABOVE, WIDTH, height), panel)
        top += ABOVE + height + BELOW
    return figure


def draw_panel(axes: Axes, rows: Sequence[Row]) -> None:
    """The bars of one case, the first on top."""
    places = np.arange(len(rows))
    for y, row in zip(places, rows, strict=True):
        if row.median is not None:
            draw_bar(axes, float(y), row)
    has_floor = any(row.floor is not None for row in rows)
    axes.set_yticks(places, [row.contender for row in rows])
    axes.tick_params(axis="y", length=0)
    axes.set_ylim(len(rows) - 0.5, -0.5)
    axes.set_xlim(left=0)
    axes.set_title(rows[0].case.title, x=0)
    unit = f"seconds for one of the {rows[0].case.unit}" if rows[0].case.batch is None else "seconds"
    axes.set_xlabel(unit + "; the line is what the matrix products alone would take" * has_floor)
    axes.grid(axis="x")


def draw_bar(axes: Axes, y: float, row: Row) -> None:
    """A bar with its number, a whisker between the quartiles, a line at the floor."""
    count = row.done.items if row.case.batch is None else 1
    low, middle, high = (seconds / count for seconds in (row.quartiles[0], row.median, row.quartiles[1]))
    is_ours = parse_contender(row.contender).library not in PEERS
    axes.barh(y, middle, height=0.7, color=NEUTRAL_COLOUR if is_ours else HIDDEN_COLOUR)
    spread = [[middle - low], [high - middle]]
    axes.errorbar(middle, y, xerr=spread, color="black", linewidth=1.5, capsize=4)
    beside = {"xytext": (6, 0), "textcoords": "offset points", "va": "center", "fontsize": 12.5}
    axes.annotate(format_seconds(middle), (high, y), **beside)
    if row.floor is not None:
        floor = row.floor / count
        axes.plot([floor, floor], [y - 0.42, y + 0.42], color="black", linewidth=2)
