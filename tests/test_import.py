"""`import minitvlt` is light: what is heavy or optional is imported when it is first used."""

import subprocess
import sys

HEAVY = {"torch", "matplotlib", "av", "transformers", "librosa", "PIL"}
NOTEBOOKS = {"IPython", "ipykernel", "ipywidgets", "jupyterlab", "jupytext", "nbclient", "notebook"}


def list_modules_after(statement: str) -> set[str]:
    """Run a statement in a fresh interpreter and list the top-level modules that it loaded."""
    code = f"{statement}; import sys; print(*{{name.partition('.')[0] for name in sys.modules}})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_the_package_loads_nothing_heavy():
    assert not list_modules_after("import minitvlt") & (HEAVY | NOTEBOOKS)


def test_the_command_line_needs_no_torch_to_start():
    assert not list_modules_after("import minitvlt.__main__") & ({"torch", "av"} | NOTEBOOKS)


def test_every_public_name_is_there():
    import minitvlt

    missing = [name for name in minitvlt.__all__ if not hasattr(minitvlt, name)]
    assert not missing
    assert set(minitvlt.__all__) <= set(dir(minitvlt))
