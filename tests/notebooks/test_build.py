"""The notebooks are built and checked: a planted fault of every kind is found."""

import os
import random
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

pytest.importorskip("nbclient", reason="building notebooks takes jupytext, nbclient and ipykernel")
import nbformat

import build
import rules

SOURCE = """# %% [markdown]
# # A notebook
# **You will be able to** add. **Time to run:** a second. **Before this:** nothing.
# %%
import minitvlt as mt
from helpers.diagrams import new_axes
from helpers.notebook import Slider, play, show
# %% [markdown]
# ## Adding
# Numbers are added by `+`, see [this](#Recap) and [the other](notes.txt).
# %%
print("one and one")
1 + 1
# %%
figure, (axes,) = new_axes(size=(3, 2), x="time (s)")
axes.plot([1, 2])
show(figure, "A line that rises from one to two.")
# %% tags=["volatile"]
import time
time.time()
# %% tags=["needs-a_library_that_is_not_there"]
print("only elsewhere")
# %% [markdown]
# QUESTIONS
# ## Recap
# One and one are two.
# ## Where to go on
# Nowhere.
# ## References
""".replace(
    "QUESTIONS", 5 * "<details><summary>One?</summary>1\n# ```python\n# one = 1\n# ```\n# </details> "
)


@pytest.fixture(scope="module", autouse=True)
def helpers_are_found() -> Iterator[None]:
    """The notebooks of these tests lie elsewhere: their kernels do not find `helpers` beside them."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(Path(build.__file__).parent), prepend=os.pathsep)
        yield


@pytest.fixture(scope="module")
def built(helpers_are_found: None, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("notebooks")
    (folder / "notes.txt").write_text("notes")
    source = folder / "00_adding.py"
    source.write_text(SOURCE)
    assert build.build(source, source.with_suffix(".ipynb")) == []
    return source


@pytest.fixture
def source(built: Path, tmp_path: Path) -> Path:
    """A notebook without any fault, to be spoilt"""
    for path in built.parent.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    return tmp_path / built.name


def check(source: Path) -> list[str]:
    return build.check(source, source.with_suffix(".ipynb"))


def spoil(source: Path, change: Callable[[nbformat.NotebookNode], None]) -> Path:
    """Change the executed notebook alone."""
    path = source.with_suffix(".ipynb")
    notebook = nbformat.read(path, 4)
    change(notebook)
    path.write_text(nbformat.writes(notebook))
    return path


def rewrite(source: Path, old: str, new: str) -> list[str]:
    """Change the source, build again and return what is wrong."""
    text = source.read_text()
    assert old in text
    source.write_text(text.replace(old, new))
    return build.build(source, source.with_suffix(".ipynb"))


def test_what_was_just_built_is_fine_and_the_same_source_gives_the_same_bytes(source):
    assert check(source) == []  # whatever the time of day
    stable = rewrite(source, "time.time()", "0")
    first = source.with_suffix(".ipynb").read_bytes()
    assert stable == build.build(source, source.with_suffix(".ipynb")) == []
    assert b"image/png" in first and source.with_suffix(".ipynb").read_bytes() == first


def replace_alt(notebook: nbformat.NotebookNode) -> None:
    data = notebook.cells[4].outputs[0].data
    data["text/html"] = data["text/html"].replace("rises", "falls")


STALE = {
    "an output": (
        lambda notebook: notebook.cells[3].outputs[0].update(text="one and two\n"),
        "cell 4 has a stale output: it shows 'one and two', a fresh run 'one and one'",
    ),
    "an alt text": (replace_alt, "cell 5 has a stale output"),
}


@pytest.mark.parametrize(("change", "message"), STALE.values(), ids=STALE)
def test_what_is_stale_is_found(source, change, message):
    spoil(source, change)
    (problem,) = check(source)
    assert message in problem


FIGURE = 'show(figure, "A line that rises from one to two.")'
UNFIT = [
    ("1 + 1", "1 / 0", "a cell fails: ZeroDivisionError: division by zero"),
    (FIGURE, "figure", "cell 5 shows a picture without an alt text: helpers.notebook.show(figure, alt)"),
    ("1 + 1", "import warnings; warnings.warn('Mind!', stacklevel=1)", "cell 4 shows an error or a warning"),
]


@pytest.mark.parametrize(("old", "new", "message"), UNFIT)
def test_what_must_not_be_shown_is_found_and_what_fails_is_not_written(source, old, new, message):
    before = source.with_suffix(".ipynb").read_bytes()
    (problem,) = rewrite(source, old, new)
    assert message in problem
    assert (source.with_suffix(".ipynb").read_bytes() == before) == ("fails" in message)


def test_a_figure_in_words_that_is_computed_otherwise_is_found(source, monkeypatch):
    monkeypatch.setitem(rules.FIGURES, source.stem, {"computed": {"in 3 steps": "1 + 1"}})
    (problem,) = rewrite(source, "are added", "are added in 3 steps")
    assert "'in 3 steps', but computed is 2" in problem


def write_text(old: str, new: str) -> Callable[[nbformat.NotebookNode], None]:
    """Change the text of a cell."""

    def change(notebook: nbformat.NotebookNode) -> None:
        (cell,) = [cell for cell in notebook.cells if old in cell.source]
        cell.source = cell.source.replace(old, new)

    return change


def show_html(html: str) -> Callable[[nbformat.NotebookNode], None]:
    """Let cell 5 show this instead of its picture."""
    return lambda notebook: notebook.cells[4].outputs[0].data.update({"text/html": html})


NO_ALT = "shows a picture without an alt text that describes it"
FAULTS = {
    "a broken link": (write_text("(notes.txt)", "(lost.txt)"), "a link to lost.txt, which is not there"),
    "a link to a folder": (write_text("(notes.txt)", "(.)"), "a link to ., which is not there"),
    "a broken anchor": (write_text("(#Recap)", "(#Recipe)"), "a link to #Recipe, which is not there"),
    "an image without an alt text": (write_text("see [this](#Recap)", "![](notes.txt)"), NO_ALT),
    "a tag without an alt text": (write_text("see [this](#Recap)", '<img src="notes.txt">'), NO_ALT),
    "an output without an alt text": (show_html('<img alt="" src="x.png">'), NO_ALT),
    "a long cell": (write_text("1 + 1", "\n" * 15), "cell 4 has 16 lines, more than 15: cut it in two"),
    "a long output": (show_html("<br>\n" * 41), "cell 5 shows 41 lines, more than the 40 of a screen"),
    "a large file": (show_html("x" * 1_000_000), "more than 1000000: show smaller pictures"),
    "a figure that nothing computes": (write_text("are added", "of 3 digits are added"), "nothing computes"),
    "no code in answers": (write_text("```python", "```text"), "fewer than 3 folded answers with code"),
    "no recap": (write_text("## Recap", "## Summary"), "lacks '## Recap', which every notebook has"),
}


@pytest.mark.parametrize(("change", "message"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found(source, change, message):
    faults = rules.find_faults(spoil(source, change))
    assert any(message in fault for fault in faults), faults


NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("[0-9]*.py"))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=[path.stem for path in NOTEBOOKS])
def test_our_notebooks_lie_here_as_they_were_built(path):
    """Running them is the work of `python notebooks/build.py --check`."""
    target = path.with_suffix(".ipynb")
    assert rules.find_faults(target) + build.compare_sources(path, target) == []


def test_nearly_every_wrong_figure_in_words_is_found():
    """Each figure of each notebook in turn is exchanged for another one."""
    rng, found = random.Random(0), []
    for path in NOTEBOOKS:
        prose = rules.read_prose(nbformat.read(path.with_suffix(".ipynb"), 4))
        for figure in rules.FIGURE.finditer(prose):
            others = [word for word in rules.NUMBERS if word != figure[0].lower()]
            wrong = re.sub(r"^[0-9]", lambda digit: str((int(digit[0]) + rng.randint(1, 9)) % 10), figure[0])
            wrong = rng.choice(others) if wrong == figure[0] else wrong
            text = prose[: figure.start()] + wrong + prose[figure.end() :]
            found.append(any(rules.find_unfounded_figures(text, path.stem)))
    assert len(found) > 800 and sum(found) / len(found) > 0.9, sum(found) / len(found)


def test_the_overview_shows_every_notebook_with_its_thumbnail():
    overview = (NOTEBOOKS[0].parent / "README.md").read_text(encoding="utf-8")
    for path in NOTEBOOKS:
        assert f"]({path.stem}.ipynb)" in overview and f"](thumbnails/{path.stem}.png)" in overview
    links = [link for link in re.findall(r"\]\(([^)]+)\)", overview) if "://" not in link]
    assert len(links) > 10 and all((NOTEBOOKS[0].parent / link).exists() for link in links)
    assert all(len(alt) > 20 for alt in re.findall(r"!\[([^\]]*)\]", overview))
