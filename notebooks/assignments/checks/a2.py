"""Assignment 2."""

import minitvlt as mt

from .blanks import Assignment, Blank, Case, Check


def cases(random):
    return [
        Case({"video": random.normal(size=(1, 1, 1, 2, 2)), "patch": (1, 2)}, ("the smallest input",)),
        Case({"video": random.normal(size=(2, 3, 1, 6, 10)), "patch": (3, 2)}, ("a batch of 2",)),
    ]


ASSIGNMENT = Assignment(
    "a2_patches_and_masks",
    "Patches and masks",
    (
        Blank(
            "patchify_video",
            mt.patchify_video,
            cases,
            (Check("the smallest input", 1), Check("a batch of 2", 1)),
            "notebook 02",
        ),
    ),
)
