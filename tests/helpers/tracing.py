"""Which functions of the package a call passes through: a measure of how much there is to read.

passed = count_functions(lambda: log_mel_spectrogram(waveform))
assert len(passed) <= 16
"""

import sys
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

from tests.helpers.syntax import PACKAGE


def count_functions(call: Callable[[], Any]) -> set[tuple[str, str]]:
    """Call a function of no arguments and collect the functions of the package that run meanwhile.

    Comprehensions and lambdas count as part of the function that they stand in. What wraps a function to
    check its annotations has its code elsewhere and does not count; nor does what runs in other threads.

    Returns:
        The file from the package's root, and the qualified name: ("signals/spectrogram.py", "make_window").
    """
    passed: set[tuple[str, str]] = set()

    def note(frame: FrameType, event: str, _: Any) -> None:
        path = Path(frame.f_code.co_filename)
        if event == "call" and path.is_relative_to(PACKAGE):
            function = frame.f_code.co_qualname.split(".<locals>.<")[0]
            passed.add((path.relative_to(PACKAGE).as_posix(), function))

    before = sys.getprofile()
    sys.setprofile(note)
    try:
        call()
    finally:
        sys.setprofile(before)
    return passed
