"""The figure of a training step that is divided between two processes."""

from helpers.schematics import SMALL, Schematic
from minitvlt.views.figures import AUDIO_COLOUR, VIDEO_COLOUR

STEPS = (  # what each process does, from top to bottom
    ("*its clips*", "B / 2"),
    ("*forward*", "sums of losses, counts"),
    ("*backward*", "gradient of its sums"),
    ("*AdamW*", "the same update"),
)


def draw_data_parallel() -> Schematic:
    """Draw two processes with a copy of the model each; gradients are summed over both before the update."""
    s = Schematic(760, 470)
    s.box(380, 30, 200, 40, "*one batch*, B clips")
    for x, name, colour in ((190, "process 0", VIDEO_COLOUR), (570, "process 1", AUDIO_COLOUR)):
        s.arrow((380, 50), (380, 66), (x, 66), (x, 82))
        s.write(x - 145, 104, name, *SMALL)
        for number, lines in enumerate(STEPS):
            y = 110 + 75 * number + 65 * (number == 3)
            s.box(x, y, 210, 50, *lines, colour=colour)
            if number in (1, 2):
                s.arrow((x, y - 50), (x, y - 27))
        s.arrow((x, 285), (x, 304))
        s.arrow((x, 354), (x, 373))
        s.arrow((x, 425), (x, 446))
        s.write(x, 458, "parameters θ, equal in both", *SMALL)
    s.box(380, 329, 600, 46, "*all-reduce*", "sums of counts and of gradients, over all processes")
    return s
