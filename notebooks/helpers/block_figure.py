"""The figure of a transformer block: its two sublayers, and the steps of multi-head attention with shapes."""

from helpers.schematics import SMALL, Schematic

ATTENTION, MLP = "#d55e00", "#0072b2"  # colours of the boxes; LayerNorm is grey
BLOCK = (  # what is in a box, from bottom to top; () is a sum
    ("LayerNorm",),
    ("*multi-head*", "*self-attention*"),
    (),
    ("LayerNorm",),
    ("*MLP*", "linear, GELU, linear"),
    (),
)
STEPS = (  # a step of attention, and the shape of its result
    ("linear map", "B×N×3D"),
    ("split heads", "q, k, v, each B×heads×N×d"),
    ("q kᵀ / √d", "scores, B×heads×N×N"),
    ("mask, softmax", "weights, B×heads×N×N"),
    ("times v", "B×heads×N×d"),
    ("merge heads", "B×N×D"),
    ("linear map", "B×N×D"),
)


def draw_block() -> Schematic:
    """Draw a pre-LN block on the left, with its residual connections, and the inside of attention."""
    s = Schematic(880, 560)
    s.write(200, 16, "*a block*")
    s.write(540, 16, "*multi-head self-attention*")
    draw_residual_block(s, 200)
    draw_attention(s, 540)
    return s


def draw_residual_block(s: Schematic, x: float) -> None:
    """Draw the boxes of a block from bottom to top; both sums also get the input of their sublayers."""
    s.write(x, 545, "x: B×N×D", *SMALL)
    below = start = 532.0
    for number, lines in enumerate(BLOCK):
        y = 470 - 79 * number
        if lines:
            s.arrow((x, below), (x, y + 26))
            s.box(x, y, 180, 52, *lines, colour=("#777", ATTENTION, "", "#777", MLP)[number])
            below = y - 26
        else:
            s.arrow((x, below), (x, y + 15))
            s.arrow((x, start - 10), (x - 130, start - 10), (x - 130, y), (x - 15, y))
            s.box(x, y, 30, 30, "+")
            below = start = y - 15
    s.arrow((x, below), (x, 36))
    s.write(x - 165, 382, "residual", *SMALL)
    s.write(x - 165, 398, "connection", *SMALL)


def draw_attention(s: Schematic, x: float) -> None:
    """Draw the steps of attention from bottom to top, with the shape of each result beside its arrow."""
    s.write(x, 545, "LayerNorm(x): B×N×D", *SMALL)
    s.arrow((x, 532), (x, 516))
    for number, (name, shape) in enumerate(STEPS):
        y = 498 - 70 * number
        s.box(x, y, 170, 36, name, colour=ATTENTION)
        s.arrow((x, y - 18), (x, max(y - 52, 32)))
        s.write(x + 18 + 3.4 * len(shape), y - 33, shape, *SMALL)
    s.arrow((x + 85, 428), (x + 260, 428), (x + 260, 218), (x + 85, 218))
    s.write(x + 273, 323, "v")
