"""Losses that helper processes load: each does something else beside the loss of pre-training."""

import os
import signal
import sys

from minitvlt.backends import kernels_in_use
from minitvlt.backends.fast import threads
from minitvlt.training.objectives import compute_pretraining

IS_HELPER = hasattr(sys.modules["__main__"], "HelperTrainer")


def print_and_compute(*inputs):
    print("what a function prints does not get between the answers")
    return compute_pretraining(*inputs)


def fail_in_helpers(*inputs):
    if IS_HELPER:
        raise FloatingPointError("found by a helper")
    return compute_pretraining(*inputs)


def kill_in_helpers(*inputs):
    if IS_HELPER:
        os.kill(os.getpid(), signal.SIGKILL)
    return compute_pretraining(*inputs)


def interrupt_helpers(*inputs):
    if IS_HELPER:
        os.kill(os.getpid(), signal.SIGINT)
    return compute_pretraining(*inputs)


def check_kernels(*inputs):
    assert kernels_in_use() == "plain" and threads._limits
    return compute_pretraining(*inputs)
