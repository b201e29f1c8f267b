"""What holds for every notebook, whether it is run or not: each rule is a function with its reason."""

import base64
import re
import struct
import tomllib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import numpy as np
from nbformat import NotebookNode

MOST_LINES, MOST_OUTPUT, HIGHEST_PICTURE = 15, 40, 720  # lines of a cell, lines of an output, pixels
LARGEST_FILE = 1_000_000  # bytes
SHORTEST_TEXT = 20  # letters of an alt text
QUESTIONS, CODE_ANSWERS = 5, 3
OPENING = ("**You will be able to**", "**Time to run:**", "**Before this:**")
CLOSING = ("## Recap", "## Where to go on", "## References")
FOLDED = re.compile(r"<details>.*?</details>", flags=re.S)
CODE = re.compile(r"```python\n(.*?)```", flags=re.S)
LINK = re.compile(r'\]\(([^)\s]+)\)|href="([^"]+)"')

# Figures in words: those of a notebook that are computed or given are listed, with all words around them that
# tell them apart, in figures.toml.
FIGURES = tomllib.loads((Path(__file__).parent / "figures.toml").read_text(encoding="utf-8"))
WORDS = """zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen
sixteen seventeen eighteen nineteen twenty"""
NUMBERS: dict[str, float] = {word: number for number, word in enumerate(WORDS.split())}
NUMBERS |= {"thirty": 30, "forty": 40, "fifty": 50, "sixty": 60, "hundred": 100, "thousand": 1000, "½": 1 / 2}
NUMBERS |= {"once": 1, "twice": 2, "half": 1 / 2, "third": 1 / 3, "quarter": 1 / 4, "fifth": 1 / 5}
NUMBERS |= {"eighth": 1 / 8, "tenth": 1 / 10, "twentieth": 1 / 20, "quarters": 1 / 4}
FREE = (0, 1, 2)  # figures that need no entry: ends of intervals, pairs, "one of"
FIGURE = re.compile(rf"(?<![\w.])(?:\d+/\d+|\d+(?:,\d{{3}})*(?:\.\d+)?)|½|\b(?:{'|'.join(NUMBERS)})\b", re.I)
NO_PROSE = re.compile(
    r"```.*?```|\$\$.*?\$\$|^#[^\n]*|\*\*Time to run:\*\*[^*]*|</?[a-z][^>]*>"  # code, formulas, headings
    r"|\[\d\d\w*\]\([^)]*\)|\]\([^)]*\)|,\s(?:19|20)\d\d(?=[)\]])|\bthe third\b"  # links, years of papers
    r"|^(?:\*\*)?\d+\.\s|\b(?:question|exercise|section|notebooks?|arXiv[: ]) ?[\d.]+"  # numbers of things
    r"|\b\d+\.\d+\.\d+",  # versions
    flags=re.S | re.M | re.I,
)


def find_faults(path: Path) -> list[str]:
    """Look at a notebook as it lies here, without running it."""
    if not path.is_file():
        return [f"there is no {path.name}: run python notebooks/build.py {path.stem}"]
    notebook, faults = nbformat.read(path, 4), []
    for number, cell in enumerate(notebook.cells, 1):
        faults += [f"cell {number} {fault}" for rule in RULES for fault in rule(cell)]
        faults += [f"cell {number} {fault}" for fault in find_broken_links(cell, notebook, path.parent)]
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    faults += [f"lacks {part!r}, which every notebook has" for part in OPENING + CLOSING if part not in text]
    if text.count("<details>") < QUESTIONS:
        faults.append(f"asks fewer than {QUESTIONS} questions with an answer to unfold (<details>)")
    if len(list_answers(notebook)) < CODE_ANSWERS:
        faults.append(f"has fewer than {CODE_ANSWERS} folded answers with code")
    faults += find_unfounded_figures(read_prose(notebook), path.stem)
    if path.stat().st_size > LARGEST_FILE:
        faults.append(f"has {path.stat().st_size} bytes, more than {LARGEST_FILE}: show smaller pictures")
    return faults


def list_answers(notebook: NotebookNode) -> list[str]:
    """List the code in folded answers."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    return [code for folded in FOLDED.findall(text) for code in CODE.findall(folded)]


def read_prose(notebook: NotebookNode) -> str:
    """Join the sentences of a notebook, without code, formulas, links and references, and the alt texts."""
    text = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    shown = [text for cell in notebook.cells if cell.cell_type == "code" for text in list_shown(cell)]
    alts = " ".join(alt for html in shown for alt in re.findall(r' (?:alt|aria-label)="([^"]*)"', html))
    return " ".join((NO_PROSE.sub(" ", text.partition("## References")[0]) + alts).split())


def find_unfounded_figures(prose: str, name: str) -> Iterator[str]:
    """A figure in words is computed when the notebook is built, or it is given; other entries are stale."""
    entries = [phrase for phrases in FIGURES.get(name, {}).values() for phrase in phrases]
    spans = [found.span() for phrase in entries for found in re.finditer(re.escape(phrase), prose)]
    for figure in FIGURE.finditer(prose):
        first, last = figure.span()
        if read_figure(figure[0])[0] not in FREE and not any(a <= first and last <= b for a, b in spans):
            words = prose[max(first - 40, 0) : last + 20]
            yield f"states a figure that nothing computes, see figures.toml: {words!r}"
    yield from (f"no longer states {phrase!r}, see figures.toml" for phrase in entries if phrase not in prose)


def read_figure(figure: str) -> tuple[float, float]:
    """The value of a figure, and how far the number may be that it is rounded from."""
    if figure.lower() in NUMBERS:
        value = NUMBERS[figure.lower()]
        return value, 0.5 if value >= 1 else value / 20
    above, _, below = figure.replace(",", "").partition("/")
    decimals = len(above.partition(".")[2])
    return float(above) / float(below or 1), 1e-9 if below else 0.5 * 10.0**-decimals + 1e-9


def check_figures(phrase: str, found: Any) -> None:
    """Compare the figures of a phrase with what was computed: so many numbers, or whether it holds.

    Raises:
        AssertionError: they differ.
    """
    if isinstance(found, bool | np.bool_):
        is_right = bool(found)
    else:
        values, figures = np.ravel(found), [read_figure(each) for each in FIGURE.findall(phrase)]
        pairs = zip(values, figures, strict=False)
        is_right = len(values) == len(figures) and all(abs(v - f) <= most for v, (f, most) in pairs)
    assert is_right, f"figures.toml: {phrase!r}, but computed is {found}"


def find_long_cells(cell: NotebookNode) -> Iterator[str]:
    """A cell is read at one glance; an answer is folded until its question has been thought about."""
    count = len(FOLDED.sub("", cell.source).splitlines())
    if count > MOST_LINES:
        yield f"has {count} lines, more than {MOST_LINES}: cut it in two"


def find_long_outputs(cell: NotebookNode) -> Iterator[str]:
    """An output fits on a screen."""
    for text in list_shown(cell):
        count = len(text.splitlines())
        if count > MOST_OUTPUT:
            yield f"shows {count} lines, more than the {MOST_OUTPUT} of a screen: show a part"
        for height in find_heights(text):
            if height > HIGHEST_PICTURE:
                yield f"shows a picture {height} pixels high, more than the {HIGHEST_PICTURE} of a screen"


def find_heights(html: str) -> Iterator[int]:
    """How high pictures stand on the screen, from the width that is asked for and the sides of the PNG."""
    for tag in re.findall(r"<img\b[^>]*>", html):
        picture = re.search(r"image/png;base64,([A-Za-z0-9+/]{32})", tag)
        if picture:
            across, down = struct.unpack(">II", base64.b64decode(picture[1])[16:24])
            yield round(int(find_attribute("width", tag) or across) * down / across)


def find_noise(cell: NotebookNode) -> Iterator[str]:
    """A warning or an error on the page is a fault of ours, not a lesson."""
    for output in cell.get("outputs", []):
        if output.output_type == "error" or output.get("name") == "stderr":
            yield f"shows an error or a warning: {output.get('text', output.get('evalue', '')).strip()[:200]}"


def find_missing_alt_texts(cell: NotebookNode) -> Iterator[str]:
    """Whoever cannot see a picture reads what stands for it."""
    for output in cell.get("outputs", []):
        if any(kind.startswith("image/") for kind in output.get("data", {})):
            yield "shows a picture without an alt text: helpers.notebook.show(figure, alt)"
    for text in list_readable(cell):
        alts = re.findall(r"!\[(.*?)\]\(", text)
        alts += [find_attribute("alt", tag) for tag in re.findall(r"<img\b[^>]*>", text)]
        if any(len(alt) < SHORTEST_TEXT for alt in alts):
            yield "shows a picture without an alt text that describes it"


def find_nameless_players(cell: NotebookNode) -> Iterator[str]:
    """Whoever cannot see a player has to be told what it plays."""
    for text in list_readable(cell):
        if not all(
            find_attribute("aria-label", tag) for tag in re.findall(r"<(?:audio|video)\b[^>]*>", text)
        ):
            yield "shows a player without a label: helpers.notebook.play(waveform, rate, label)"


def find_attribute(name: str, tag: str) -> str:
    """The value of an attribute, empty if there is none."""
    found = re.search(f' {name}="([^"]*)"', tag)
    return found[1] if found else ""


RULES = (find_long_cells, find_long_outputs, find_noise, find_missing_alt_texts, find_nameless_players)


def list_readable(cell: NotebookNode) -> list[str]:
    """What a reader meets of a cell beside code."""
    return [cell.source] if cell.cell_type == "markdown" else list_shown(cell)


def list_shown(cell: NotebookNode) -> list[str]:
    """The outputs of a cell as they are seen: of several forms the richest."""
    shown = []
    for output in cell.get("outputs", []):
        data = output.get("data", {})
        richest = next(
            (data[kind] for kind in ("text/html", "text/markdown", "text/plain") if kind in data), ""
        )
        shown.append(output.get("text", richest))
    return shown


def find_broken_links(cell: NotebookNode, notebook: NotebookNode, folder: Path) -> Iterator[str]:
    """A link leads to a file that is there, or to a heading of the same notebook; the web is not asked."""
    texts = [each.source for each in notebook.cells if each.cell_type == "markdown"]
    headings = {
        line.lstrip("# ").replace(" ", "-") for text in texts for line in text.splitlines() if line[:1] == "#"
    }
    for text in list_readable(cell):
        for found in LINK.finditer(text):
            link = found[1] or found[2]
            file, _, heading = link.partition("#")
            is_there = (folder / file).is_file() if file else heading in headings
            if "://" not in link and not link.startswith("data:") and not is_there:
                yield f"has a link to {link}, which is not there"
