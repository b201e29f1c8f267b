"""The process that runs a student's code: started by `child.py`, and the only place where that code runs.

It takes requests from its standard input and gives replies on its standard output; before student code
runs, both are moved out of its way, and limits of memory, file size and processor time are set.
"""

import contextlib
import importlib
import io
import linecache
import os
import sys
import types
from dataclasses import replace
from typing import Any, BinaryIO

from .blanks import Assignment
from .calls import LimitedText, call_function
from .outcomes import Outcome, Problem
from .wire import TooLargeError, WireError, receive_request, send_reply

PACKAGE = __name__.rpartition(".")[0]


def main() -> None:
    """Serve requests until there are no more."""
    requests, replies = take_pipes()
    try:
        setup = receive_request(requests)
        assignment = importlib.import_module(setup["module"]).ASSIGNMENT
        limit_resources(setup["limits"])
        namespace, given = make_namespace(), {}
        send_reply(replies, "ready")
        for name, source, is_given in setup["cells"]:
            before = dict(namespace)
            send_reply(replies, run_cell(name, source, namespace))
            if is_given:
                given |= {key: value for key, value in namespace.items() if before.get(key) is not value}
        while True:
            serve_call(replies, receive_request(requests), assignment, namespace, given)
    except WireError:
        os._exit(0)


def take_pipes() -> tuple[BinaryIO, BinaryIO]:
    """The pipes to the grader; whatever else reads or prints meets the null device."""
    requests, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1, 2):
        os.dup2(null, descriptor)
    sys.stdin, sys.stdout, sys.stderr = io.StringIO(), LimitedText(), LimitedText()
    return requests, replies


def limit_resources(limits: dict[str, int]) -> None:
    """Set limits that this process cannot raise again, where the system has them."""
    try:
        import resource
    except ImportError:
        return
    for name, limit in limits.items():
        with contextlib.suppress(AttributeError, ValueError, OSError):
            resource.setrlimit(getattr(resource, name), (limit, limit))


class Shell:
    """Stands for IPython's shell: everything that is asked of it does nothing."""

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: None


def make_namespace() -> dict[str, Any]:
    """The module in which cells run; in it, `checks.check` does nothing, so that no cell waits for checks."""
    package = importlib.import_module(PACKAGE)
    package.check = lambda *_, **__: 0.0
    sys.modules["checks"] = package
    sys.path.append(os.getcwd())  # at the end: a file of the student hides no module
    module = types.ModuleType("__main__")
    module.display = lambda *_, **__: None  # as in a notebook
    module.get_ipython = Shell
    sys.modules["__main__"] = module
    return vars(module)


def run_cell(name: str, source: str, namespace: dict[str, Any]) -> dict[str, Any] | None:
    """Run one cell; what went wrong, if anything did."""
    filename = f"<{name}>"
    linecache.cache[filename] = (len(source), None, source.splitlines(keepends=True), filename)
    sys.stdout, sys.stderr = LimitedText(), LimitedText()
    try:
        exec(compile(source, filename, "exec"), namespace)
    except BaseException as error:
        return describe(error, filename)
    return None


def describe(error: BaseException, filename: str) -> dict[str, Any]:
    """Type, message and line of an error in a cell."""
    number = error.lineno if isinstance(error, SyntaxError) else None
    trace = error.__traceback__
    while trace is not None and not isinstance(error, SyntaxError):
        if trace.tb_frame.f_code.co_filename == filename:
            number = trace.tb_lineno
        trace = trace.tb_next
    with contextlib.suppress(BaseException):
        message = " ".join(str(error.msg if isinstance(error, SyntaxError) else error)[:300].split())
        line = linecache.getline(filename, number or 0).strip()
        return {"type": type(error).__name__, "message": message, "number": number or 0, "line": line}
    return {"type": "an error", "message": "", "number": 0, "line": ""}


def serve_call(
    replies: BinaryIO, request: dict[str, Any], assignment: Assignment, namespace: dict, given: dict[str, Any]
) -> None:
    """Call a blank once, and reply with its outcome.

    Meanwhile the other blanks' names mean the references, and those of given cells what the cells gave them.
    """
    blank = next(blank for blank in assignment.blanks if blank.name == request["blank"])
    others = {other.name: other.reference for other in assignment.blanks if other is not blank}
    references = {name: value for name, value in (given | others).items() if name != blank.name}
    try:
        function = namespace.get(blank.name)
        limited = replace(blank, seconds=request["seconds"])
        outcome = call_function(function, limited, references, request["arguments"], request["layout"])
    except BaseException as error:
        outcome = Outcome(problem=Problem("exception", type(error).__name__))
    try:
        send_reply(replies, as_reply(outcome))
    except TooLargeError:
        send_reply(replies, as_reply(Outcome(problem=Problem("unreadable", "a result of more than 128 MiB"))))


def as_reply(outcome: Outcome) -> dict[str, Any]:
    """An outcome as lists, dictionaries and arrays; what was printed stays here (hidden inputs)."""
    problem = outcome.problem and [outcome.problem.kind, outcome.problem.text, outcome.problem.line]
    return {"value": outcome.value, "problem": problem, "changed": list(outcome.changed)}
