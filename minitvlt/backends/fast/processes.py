"""Processes for work that consists of small operations, which take too little time to be shared by threads.

A process that was started here answers pickles that come over a pipe by pickles over another. It ends when
the first pipe is closed, as it is when the process that started it ends in whatever way.
"""

import os
import pickle
import subprocess
import sys
from contextlib import ExitStack, suppress
from typing import Any

from minitvlt.backends import kernels_in_use


class Helper:
    """A process that answers messages, with the same kernels: pickles over its pipes"""

    def __init__(self, stack: ExitStack, module: str) -> None:
        """Start `python -m module`; it ends with `stack`."""
        command = [sys.executable, "-P", "-m", module]  # -P: nothing of the working directory
        own = {"PYTHONPATH": os.pathsep.join(sys.path), "MINITVLT_KERNELS": kernels_in_use()}
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        # In a session of its own, because Ctrl-C is for the trainer alone
        self.process = subprocess.Popen(command, env=os.environ | own, start_new_session=True, **pipes)
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
