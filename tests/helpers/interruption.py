"""A run that Ctrl-C interrupts while it computes a certain step."""

import pytest

from minitvlt.training.trainer import Trainer


def interrupt_at(patch: pytest.MonkeyPatch, step: int) -> None:
    """Let a run be interrupted when it starts to compute this step, counted from 1."""
    calls, compute = [], Trainer.compute

    def counted(*arguments):
        calls.append(None)
        if len(calls) == step:
            raise KeyboardInterrupt
        return compute(*arguments)

    patch.setattr(Trainer, "compute", counted)
