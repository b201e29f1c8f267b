"""Build the notebooks, or check that what lies here is what a fresh run gives.

    python notebooks/build.py                       run all, and write the .ipynb files
    python notebooks/build.py 02_patches            only these
    python notebooks/build.py --check               run all, write nothing, and list what is wrong

How a notebook is written. `NN_name.py` is the source, in the percent format of jupytext: `# %%` begins a cell
of code, `# %% [markdown]` one of text. `NN_name.ipynb` beside it is made from it by this program, outputs
included, and is never edited. Equal sources give equal bytes: cell ids come from the text of a cell, and no
time of day is kept.

- `helpers.notebook` shows pictures, sounds, source code and sliders: `show(figure, alt)` as the last line of
  a cell, and so on. Figures are made by `views.figures` and `helpers.diagrams`, or by `new_axes` of the
  latter and some lines of matplotlib; `helpers.schematics` draws boxes and arrows as SVG. Video is
  VIDEO_COLOUR, audio is AUDIO_COLOUR, always.
- `# %% tags=["volatile"]` marks a cell whose output differs from run to run (times): it is not compared. With
  `tags=["needs-torch"]` a cell is compared only where torch is installed; so for any other module.
- `tags=["thumbnail"]` marks the cell whose picture stands in small in README.md.
- Random numbers come from a seed, and numbers are printed with as few digits as every machine agrees on.
- A notebook runs without torch, av and ipywidgets: it says what is missing and goes on.
- Code in folded answers (```python inside <details>) is run after the cells, each answer by itself.
- Figures in sentences ("16 clips", "three quarters") are computed when a notebook is built, or given with
  their source: each has an entry in `figures.toml`.
- What else holds for every notebook is in `rules.py`. Formulas are evaluated by tests/notebooks, and what the
  reader writes is compared with the package there (test_by_hand.py).
"""

import argparse
import base64
import contextlib
import hashlib
import importlib.util
import io
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

import jupytext
import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError
from nbformat import NotebookNode
from PIL import Image, ImageOps

from rules import FIGURES, find_faults, list_answers, list_shown

HERE = Path(__file__).parent
METADATA = {
    "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
    "language_info": {"name": "python"},
}
LONGEST_RUN = 600  # seconds: a reader waits 180 at most, but a slow and loaded machine takes longer
THUMBNAIL = (360, 200)  # pixels
PICTURE = re.compile(r"data:image/png;base64,([A-Za-z0-9+/=]+)")
DATA = re.compile(r"data:[a-z]+/[a-z]+;base64,[A-Za-z0-9+/=]*")


def main(arguments: list[str] | None = None) -> int:
    """Build or check; the status is 1 if anything is wrong."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("names", nargs="*", help="notebooks without suffix (default: all)")
    parser.add_argument("--check", action="store_true", help="write nothing; compare with what lies here")
    chosen = parser.parse_args(arguments)
    names = [Path(name).stem for name in chosen.names] or [
        path.stem for path in sorted(HERE.glob("[0-9]*.py"))
    ]
    wrong = 0
    for name in names:
        source, target = HERE / f"{name}.py", HERE / f"{name}.ipynb"
        if not source.is_file():
            parser.error(f"there is no {source}: give the name of a notebook, such as 02_patches")
        started = time.monotonic()
        problems = check(source, target) if chosen.check else build(source, target)
        print(f"{name:<24}{time.monotonic() - started:6.1f} s  {'wrong' if problems else 'fine'}", flush=True)
        for problem in problems:
            print(f"    {problem}", flush=True)
        wrong += len(problems)
    return 1 if wrong else 0


def build(source: Path, target: Path) -> list[str]:
    """Run a notebook and write it with its outputs; also return what is wrong with it."""
    notebook = read_source(source)
    try:
        run(notebook, source)
    except CellExecutionError as error:
        return [describe(error)]
    target.write_text(nbformat.writes(notebook), encoding="utf-8")
    write_thumbnail(notebook, source.parent / "thumbnails" / f"{source.stem}.png")
    return find_faults(target)


def check(source: Path, target: Path) -> list[str]:
    """Run a notebook and list what is wrong with the one that lies here."""
    problems = find_faults(target) or compare_sources(source, target)
    if problems:
        return problems
    fresh = read_source(source)
    started = time.monotonic()
    try:
        run(fresh, source)
    except CellExecutionError as error:
        return [describe(error)]
    seconds = time.monotonic() - started
    problems = compare_outputs(nbformat.read(target, 4), fresh)
    if seconds > LONGEST_RUN:
        problems.append(f"takes {seconds:.0f} s to run: {LONGEST_RUN} s is the most on any machine")
    return problems


def read_source(path: Path) -> NotebookNode:
    """Read a percent script as a notebook that depends on nothing but its text."""
    notebook = jupytext.read(path, fmt="py:percent")
    notebook.metadata = nbformat.from_dict(METADATA)
    notebook.nbformat, notebook.nbformat_minor = 4, 5
    seen: dict[str, int] = {}
    for cell in notebook.cells:
        digest = hashlib.sha256(f"{cell.cell_type}\n{cell.source}".encode()).hexdigest()[:12]
        seen[digest] = seen.get(digest, 0) + 1
        cell.id = digest if seen[digest] == 1 else f"{digest}-{seen[digest]}"
        cell.metadata = nbformat.from_dict({"tags": list_tags(cell)} if list_tags(cell) else {})
    return notebook


def write_thumbnail(notebook: NotebookNode, path: Path) -> None:
    """Write the picture of the cell with the tag "thumbnail" in small, for the overview."""
    for cell in notebook.cells:
        picture = PICTURE.search("".join(list_shown(cell)))
        if picture and "thumbnail" in list_tags(cell):
            small = Image.open(io.BytesIO(base64.b64decode(picture[1]))).convert("RGB")
            path.parent.mkdir(exist_ok=True)
            ImageOps.pad(small, THUMBNAIL, color="white").save(path)


def list_tags(cell: NotebookNode) -> list[str]:
    """The tags of a cell."""
    return list(cell.metadata.get("tags", []))


def run(notebook: NotebookNode, source: Path) -> None:
    """Run all cells in a kernel of this Python, and keep what of their outputs is the same every time.

    The code of each answer and the checks of figures run behind them, on a copy of their names; what needs a
    library that is missing is left out. Its output is not kept.
    """
    resources, count = {"metadata": {"path": str(source.parent)}}, len(notebook.cells)
    computed = FIGURES.get(source.stem, {}).get("computed", {})
    checks = [f"import rules\nrules.check_figures({phrase!r}, ({code}))" for phrase, code in computed.items()]
    for answer in list_answers(notebook) + checks:
        lines = ("try:", f"    exec({answer!r}, dict(globals()))", "except ImportError:", "    pass")
        notebook.cells.append(nbformat.v4.new_code_cell("\n".join(lines)))
    with settings_of_nobody():
        NotebookClient(
            notebook,
            timeout=LONGEST_RUN,
            kernel_name="python3",
            record_timing=False,
            store_widget_state=False,
            extra_arguments=["--log-level=ERROR"],
            resources=resources,
        ).execute()
    del notebook.cells[count:]
    notebook.metadata = nbformat.from_dict(METADATA)  # the kernel adds its version
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = join_streams(cell.outputs)
            for output in cell.outputs:  # a widget lives in its kernel alone: the picture stands in for it
                output.get("data", {}).pop("application/vnd.jupyter.widget-view+json", None)


@contextlib.contextmanager
def settings_of_nobody() -> Iterator[None]:
    """Start kernels without anybody's profile and history."""
    before = dict(os.environ)
    with tempfile.TemporaryDirectory() as folder:
        os.environ |= {"IPYTHONDIR": folder, "PYTHONHASHSEED": "0"}
        try:
            yield
        finally:
            os.environ.clear()
            os.environ.update(before)


def join_streams(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """Join what was printed in pieces: where it is cut depends on the moment."""
    joined: list[NotebookNode] = []
    for output in outputs:
        last = joined[-1] if joined else {}
        if output.output_type == "stream" and last.get("name") == output.name:
            last.text += output.text
        else:
            joined.append(output)
    return joined


def describe(error: CellExecutionError) -> str:
    """The last lines of a cell's error."""
    return f"a cell fails: {error.ename}: {error.evalue}"


def compare_sources(source: Path, target: Path) -> list[str]:
    """The .ipynb must be made of the .py as it is now."""
    fresh, old = (
        [(cell.cell_type, cell.source, list_tags(cell)) for cell in notebook.cells]
        for notebook in (read_source(source), nbformat.read(target, 4))
    )
    command = f"run python notebooks/build.py {source.stem}"
    return [] if fresh == old else [f"{target.name} was made of another {source.name}: {command}"]


def compare_outputs(old: NotebookNode, fresh: NotebookNode) -> list[str]:
    """What is said in words must be what a fresh run says; pictures differ by a shade between machines."""
    problems = []
    for number, (before, now) in enumerate(zip(old.cells, fresh.cells, strict=True), 1):
        if before.cell_type != "code" or not is_compared(before):
            continue
        texts = [[*list_texts(cell), "nothing"] for cell in (before, now)]
        if texts[0] != texts[1]:
            shown, given = next(
                pair for pair in zip_longest(*texts, fillvalue="nothing") if pair[0] != pair[1]
            )
            difference = f"it shows {shown[:300]!r}, a fresh run {given[:300]!r}"
            problems.append(f"cell {number} has a stale output: {difference}")
    return problems


def is_compared(cell: NotebookNode) -> bool:
    """Whether the tags of a cell say that its output is the same here."""
    tags = list_tags(cell)
    needs = [tag.removeprefix("needs-") for tag in tags if tag.startswith("needs-")]
    return "volatile" not in tags and all(importlib.util.find_spec(name) for name in needs)


def list_texts(cell: NotebookNode) -> list[str]:
    """All that a cell says, line by line, without the bytes of pictures and sounds."""
    texts = []
    for output in cell.get("outputs", []):
        texts += output.text.splitlines() if output.output_type == "stream" else []
        for kind, shown in sorted(output.get("data", {}).items()):
            texts += [] if kind.startswith("image/") else DATA.sub("data", str(shown)).splitlines()
    return texts


if __name__ == "__main__":
    sys.exit(main())
