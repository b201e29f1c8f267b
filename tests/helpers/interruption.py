"""A run that the keyboard interrupts while it computes a certain step."""

import pytest

from minitvlt.training.engine import Engine


def interrupt_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Let the engine be interrupted when it begins with this step, counted from 1."""
    calls, compute = [], Engine.compute

    def counted(*arguments):
        calls.append(None)
        if len(calls) == step:
            raise KeyboardInterrupt
        return compute(*arguments)

    patch.setattr(Engine, "compute", counted)
