"""What all trials of a blank have in common: which inputs fail, and which entries of the results."""

from typing import Any

import numpy as np

from .compare import Difference, is_number
from .evaluate import Trial
from .patterns import Pair


def join(*sentences: str) -> str:
    """Put sentences together."""
    return " ".join(filter(None, sentences))


def measure(trial: Trial) -> int:
    """The number of values of what was expected."""
    return sum(np.size(value) for value in list_values(trial.expected.value) if is_number(value))


def list_values(result: Any) -> list[Any]:
    """The entries of a result."""
    if isinstance(result, dict):
        return list(result.values())
    return result if isinstance(result, list) else [result]


def name_wrong_inputs(plain: list[Trial]) -> str:
    """Say which inputs fail, if all others are right; or which are right, if these are fewer."""
    wrong = [trial for trial in plain if not trial.is_right]
    tags = [tag for trial in wrong for tag in trial.case.tags]
    right = [tag for trial in plain if trial.is_right for tag in trial.case.tags]
    only_wrong = [tag for tag in dict.fromkeys(tags) if tag not in right]
    only_right = [tag for tag in dict.fromkeys(right) if tag not in tags]
    if 0 < len(only_right) <= min(2, len(only_wrong)):
        return f"Right only for inputs with {' or '.join(only_right)}."
    is_covered = all(any(tag in trial.case.tags for tag in only_wrong) for trial in wrong)
    if not only_wrong or not is_covered or not right or len(only_wrong) > 3:
        return ""
    return f"Wrong only for inputs with {' or '.join(only_wrong)}."


def name_wrong_parts(wrong: list[Trial], expected: Any) -> str:
    """Which entries of a result of several are wrong, and which are right in all trials."""
    if not isinstance(expected, (dict, list)) or len(expected) < 2:
        return ""
    paths = {difference.path.partition(".")[0] for trial in wrong for difference in trial.differences}
    names = [str(name) for name in (expected if isinstance(expected, dict) else range(len(expected)))]
    bad, good = [name for name in names if name in paths], [name for name in names if name not in paths]
    if not bad or not good:
        return ""
    if isinstance(expected, dict):
        bad, good = [f"`{name}`" for name in bad], [f"`{name}`" for name in good]
        return f"Wrong: {', '.join(bad)}. Right: {', '.join(good)}."
    numbers = ", ".join(str(int(name) + 1) for name in bad)
    return f"Wrong: result {numbers} of {len(names)}; the others are right."


def list_pairs(wrong: list[Trial], difference: Difference) -> list[Pair]:
    """This entry of the result of all trials where it is wrong in the same way."""
    pairs = []
    for trial in wrong:
        for other in trial.differences:
            if other.path == difference.path and other.kind == difference.kind and is_number(other.got):
                pairs.append(Pair(np.asarray(other.got), np.asarray(other.expected), trial.case.arguments))
    return pairs
