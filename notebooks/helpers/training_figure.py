"""Figures about training: how clips are split, and a step that is divided between two processes."""

from helpers.schematics import SMALL, Schematic

TRAIN, TEST = "#999999", "#009e73"
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
    for x, name in ((190, "process 0"), (570, "process 1")):
        s.arrow((380, 50), (380, 66), (x, 66), (x, 82))
        s.write(x - 145, 104, name, *SMALL)
        for number, lines in enumerate(STEPS):
            y = 110 + 75 * number + 65 * (number == 3)
            s.box(x, y, 210, 50, *lines, colour=TEST)
            if number in (1, 2):
                s.arrow((x, y - 50), (x, y - 27))
        s.arrow((x, 285), (x, 304))
        s.arrow((x, 354), (x, 373))
        s.arrow((x, 425), (x, 446))
        s.write(x, 458, "parameters θ, equal in both", *SMALL)
    s.box(380, 329, 600, 46, "*all-reduce*", "sums of counts and of gradients, over all processes")
    return s


def draw_splits() -> Schematic:
    """Draw five recordings of four clips, split by clip and by recording."""
    s = Schematic(760, 270)
    splits = {"*by clip:* leakage": {1, 6, 11, 16}, "*by recording*": {4, 5, 6, 7}}
    for left, (title, is_test) in zip((120, 480), splits.items(), strict=True):
        s.write(left + 90, 20, title)
        for n in range(20):
            colour = TEST if n in is_test else TRAIN
            s.box(left + 60 * (n % 4), 58 + 38 * (n // 4), 52, 28, f"{n // 4 + 1}.{n % 4 + 1}", colour=colour)
    s.write(380, 255, "a row is a recording; green: for the test, grey: for training", *SMALL)
    return s
