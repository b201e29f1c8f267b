"""Helper processes: on NumPy, each core computes the gradients of some clips of a small model's batch.

The operations of a small model take microseconds, too little to be shared by threads. So the trainer starts
this module once for each further core: parameters and clips in, numbers and gradients out.
"""

import operator
import os
import pickle
import signal
import sys
from contextlib import suppress
from typing import Any

from minitvlt.backends import map_tree
from minitvlt.backends.fast.processes import Helper
from minitvlt.backends.fast.threads import count_cores, on_one_core
from minitvlt.model.parameters import Params
from minitvlt.training.objectives import Compute, sum_gradients
from minitvlt.training.trainer import Trainer

MOST = 8  # processes: with more of them, each has too few clips of a usual batch


class HelperTrainer(Trainer):
    """A training run on NumPy in several processes: this one and its helpers"""

    draws_ahead = True

    def __post_init__(self) -> None:
        super().__post_init__()
        self.stack.enter_context(on_one_core())  # the other cores are for the helpers
        self.processes = min(count_cores(), MOST, self.recipe.batch_size // self.recipe.micro_batches)
        self.helpers: list[Helper] | None = None  # started with the first batch

    def sum_gradients(
        self, function: Compute, params: Params, shares: list[list[Any]], counts: Any
    ) -> tuple[dict[str, Any], Params]:
        """Do what `sum_gradients` does, with each share in a process of its own."""
        if self.helpers is None:
            self.helpers = self.start_helpers((function, params, shares[-1:], counts))
        if not self.helpers:
            return sum_gradients(function, params, shares, counts)
        for helper, share in zip(self.helpers, shares[1:], strict=True):
            helper.send((params, [share], counts))
        total = sum_gradients(function, params, shares[:1], counts)
        for helper in self.helpers:
            total = map_tree(operator.add, total, helper.receive())
        return total

    def start_helpers(self, example: tuple[Any, ...]) -> list[Helper]:
        """Start helpers; none if they cannot load the function, or what it is called with."""
        try:
            message = pickle.dumps(example)
        except (pickle.PicklingError, AttributeError, TypeError):
            return []
        helpers = [Helper(self.stack, "minitvlt.training.helpers") for _ in range(self.processes - 1)]
        for helper in helpers:
            helper.send(message)
        return helpers if all(helper.receive() for helper in helpers) else []


def serve() -> None:
    """Answer messages as a helper, until the pipe is closed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    messages, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what the function prints must not get between the answers

    def answer(message: Any) -> None:
        pickle.dump(message, answers, protocol=5)
        answers.flush()

    with suppress(EOFError, OSError), on_one_core():
        try:
            function = pickle.loads(pickle.load(messages))[0]
        except Exception:  # importing a module can end in any
            return answer(False)
        answer(True)
        while True:
            inputs = pickle.load(messages)
            try:
                answer(sum_gradients(function, *inputs))
            except Exception as error:
                kind = ValueError if isinstance(error, ValueError) else RuntimeError  # others may not pickle
                answer(kind(f"{type(error).__name__} in a helper process: {error}"))


if __name__ == "__main__":
    serve()
