"""Helper processes: on NumPy, each core computes the gradients of some clips of a small model's batch.

The operations of a small model take microseconds, too little to be shared by threads. So the trainer starts
`python -m minitvlt.training.helpers` once for each further core, and exchanges pickles over the pipes:
parameters and clips in, numbers and gradients out. A helper ends when the pipe from the trainer is closed, as
it is when that process ends in whatever way.
"""

import operator
import os
import pickle
import signal
import subprocess
import sys
from contextlib import ExitStack, suppress
from typing import Any

from minitvlt.backends import kernels_in_use, map_tree
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

    def start_helpers(self, example: tuple[Any, ...]) -> list["Helper"]:
        """Start helpers; none if they cannot load the function, or what it is called with."""
        try:
            message = pickle.dumps(example)
        except (pickle.PicklingError, AttributeError, TypeError):
            return []
        helpers = [Helper(self.stack) for _ in range(self.processes - 1)]
        for helper in helpers:
            helper.send(message)
        has_loaded = [helper.receive() for helper in helpers]
        if all(has_loaded):
            return helpers
        for helper in helpers:
            helper.end()
        return []


class Helper:
    """A process that computes gradients"""

    def __init__(self, stack: ExitStack) -> None:
        """Start the process; it ends with `stack`."""
        self.process = subprocess.Popen(
            [sys.executable, "-P", "-m", "minitvlt.training.helpers"],  # -P: nothing of the working directory
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "MINITVLT_KERNELS": kernels_in_use()},
            start_new_session=True,  # Ctrl-C is for the trainer alone
        )
        stack.callback(self.end)

    def send(self, message: Any) -> None:
        """Send a message; where the process has ended, `receive` says so."""
        with suppress(OSError):
            pickle.dump(message, self.process.stdin, protocol=5)
            self.process.stdin.flush()

    def receive(self) -> Any:
        """Wait for the answer to a message.

        Raises:
            ChildProcessError: the process has ended.
            ValueError: the function raised one in the process.
            RuntimeError: it raised any other error.
        """
        try:
            answer = pickle.load(self.process.stdout)
        except (EOFError, OSError, pickle.UnpicklingError):
            raise ChildProcessError(
                f"A helper process has ended (exit code {self.process.wait()}), as it does when memory runs "
                "out. The last complete step is saved: run again to resume."
            ) from None
        if isinstance(answer, Exception):
            raise answer
        return answer

    def end(self) -> None:
        """End the process, whatever it is doing."""
        self.process.kill()
        with suppress(OSError), self.process:  # closes the pipes, and waits
            pass


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
