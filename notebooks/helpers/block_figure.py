"""The figure of a transformer block: its two sublayers, and the steps of multi-head attention with shapes."""

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Circle, FancyBboxPatch

from minitvlt.views.figures import NEUTRAL_COLOUR, NotebookFigure, with_style

GROUND = {"": "white", "attention": "#ffe3cf", "MLP": "#d6ecff", "norm": "#eeeeee"}
BLOCK = (  # what is written in a box, its ground, its height in the figure; from bottom to top
    ("LayerNorm", "norm", 1.5),
    ("multi-head\nself-attention", "attention", 3.0),
    ("+", "", 4.4),
    ("LayerNorm", "norm", 5.7),
    ("MLP: linear,\nGELU, linear", "MLP", 7.2),
    ("+", "", 8.6),
)
STEPS = (  # what is written in a box, and the shape of its result
    ("linear map", "B  N  3D"),
    ("split heads", "q, k, v: each  B  heads  N  d"),
    (r"$q\,k^{\mathrm{T}} / \sqrt{d}$", "scores: B  heads  N  N"),
    ("mask, softmax", "weights: B  heads  N  N"),
    ("× v", "B  heads  N  d"),
    ("merge heads", "B  N  D"),
    ("linear map", "B  N  D"),
)


@with_style
def plot_block() -> Figure:
    """Draw a pre-LN block on the left, with its residual connections, and the inside of attention."""
    figure = NotebookFigure(figsize=(11, 6.6))
    left, right = figure.subplots(1, 2, width_ratios=(4, 5))
    draw_residual_block(left)
    draw_attention(right)
    for axes, title in ((left, "a block"), (right, "multi-head self-attention")):
        axes.set(ylim=(-0.2, 10.2), xticks=[], yticks=[], title=title)
        axes.spines[:].set_visible(False)
    return figure


def draw_residual_block(axes: Axes) -> None:
    """Draw the boxes of a block from bottom to top; both sums also get their sublayer's input."""
    axes.set_xlim(-2.6, 2.2)
    height = 0.2
    for name, ground, middle in BLOCK:
        half = 0.3 if name == "+" else 0.5
        draw_arrow(axes, (0, height), (0, middle - half - 0.05))
        if name == "+":
            axes.add_patch(Circle((0, middle), 0.3, facecolor="white", edgecolor="black", lw=1.5))
            axes.text(0, middle - 0.03, "+", ha="center", va="center", fontsize=16)
        else:
            draw_box(axes, (0, middle), 1.3, half, name, ground)
        height = middle + half
    for start, stop in ((0.45, 4.4), (4.85, 8.6)):
        axes.plot([0, -1.9, -1.9], [start, start, stop], color="black", lw=1.5)
        draw_arrow(axes, (-1.9, stop), (-0.33, stop))
    draw_arrow(axes, (0, height), (0, 9.7))
    for y, word in ((-0.05, "x: B  N  D"), (9.8, "x: B  N  D, input of the next block")):
        axes.text(0, y, word, ha="center", va="center", fontsize=12, color=NEUTRAL_COLOUR)
    axes.text(-2.0, 2.4, "residual connection", rotation=90, ha="right", va="center", fontsize=12)


def draw_attention(axes: Axes) -> None:
    """Draw the steps of attention from bottom to top, with the shape of each result beside its arrow."""
    axes.set_xlim(-2.2, 5.2)
    draw_arrow(axes, (0, 0.2), (0, 0.62))
    axes.text(0, -0.05, "LayerNorm(x): B  N  D", ha="center", va="center", fontsize=12, color=NEUTRAL_COLOUR)
    for number, (name, shape) in enumerate(STEPS):
        middle = 1.05 + 1.32 * number
        draw_box(axes, (0, middle), 1.4, 0.4, name, "attention")
        draw_arrow(axes, (0, middle + 0.4), (0, middle + 0.87))
        axes.text(0.2, middle + 0.64, shape, va="center", fontsize=12, color=NEUTRAL_COLOUR)
    # the values pass by the scores
    axes.plot([1.4, 4.6, 4.6], [2.37, 2.37, 6.33], color="black", lw=1.5)
    draw_arrow(axes, (4.6, 6.33), (1.45, 6.33))
    axes.text(4.7, 4.3, "v", va="center", fontsize=13)


def draw_box(
    axes: Axes, middle: tuple[float, float], half_width: float, half: float, name: str, ground: str
) -> None:
    """Draw a box with a word in it."""
    x, y = middle[0] - half_width, middle[1] - half
    colours = {"facecolor": GROUND[ground], "edgecolor": "black", "lw": 1.5}
    axes.add_patch(
        FancyBboxPatch((x, y), 2 * half_width, 2 * half, boxstyle="round,pad=0,rounding_size=0.1", **colours)
    )
    axes.text(*middle, name, ha="center", va="center", fontsize=13)


def draw_arrow(axes: Axes, start: tuple[float, float], stop: tuple[float, float]) -> None:
    """Draw an arrow."""
    arrow = {"arrowstyle": "-|>", "color": "black", "linewidth": 1.5, "shrinkA": 0, "shrinkB": 0}
    axes.annotate("", stop, start, arrowprops=arrow)
