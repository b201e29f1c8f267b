"""The examples in the docstrings are true. They may say `np` and `mt` without importing them."""

import ast
import doctest
import importlib

import numpy as np
import pytest

from tests.helpers.syntax import list_modules

DOCUMENTED = (ast.Module, ast.ClassDef, ast.FunctionDef)


def count_examples(tree: ast.Module) -> int:
    """Count the docstrings with an example."""
    nodes = [node for node in ast.walk(tree) if isinstance(node, DOCUMENTED)]
    return sum(">>> " in (ast.get_docstring(node) or "") for node in nodes)


EXAMPLES = {name: count_examples(tree) for name, tree in list_modules().items()}


@pytest.mark.parametrize("name", [name for name, count in EXAMPLES.items() if count])
def test_the_examples_of(name):
    import minitvlt

    module = importlib.import_module(name)
    names = vars(module) | {"np": np, "mt": minitvlt}
    found = [test for test in doctest.DocTestFinder().find(module, globs=names) if test.examples]
    assert len(found) == EXAMPLES[name], f"found only those of {[test.name for test in found]}"
    runner, report = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS), []
    for test in found:
        runner.run(test, out=report.append)
    assert not runner.failures, "".join(report)
