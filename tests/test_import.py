"""`import minitvlt` is light: what is heavy or optional is imported when it is first used."""

import subprocess
import sys

HEAVY = {"torch", "av", "transformers", "librosa", "PIL", "IPython", "ipykernel", "ipywidgets", "jupyterlab"}
HEAVY |= {"jupytext", "nbclient", "notebook"}


def list_modules_after(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and list the top-level modules that it loaded."""
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_and_its_command_line_load_nothing_heavy():
    assert not list_modules_after("import minitvlt") & (HEAVY | {"matplotlib"})
    assert not list_modules_after("import minitvlt.__main__") & (HEAVY - {"PIL"})
