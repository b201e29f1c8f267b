"""One page about a run, in one file: it opens from disk, can be mailed and needs nothing from elsewhere."""

import base64
import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from html import escape
from pathlib import Path

from minitvlt.files import write_atomically

STYLE = """
:root { color-scheme: light dark; --ink: #1d2127; --soft: #5c636c; --line: #dfe2e6; --page: #f6f7f8;
  --card: #ffffff; --good: #0a6b50; --bar: #55595f; --track: #e4e7ea; }
@media (prefers-color-scheme: dark) { :root {
  --ink: #eceef1; --soft: #a6adb6; --line: #3a4048; --page: #15181c;
  --card: #1f242a; --good: #5fd3ab; --bar: #a6adb6; --track: #363c44; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--page); color: var(--ink); font: 17px/1.55 system-ui, sans-serif; }
main { max-width: 1080px; margin: 0 auto; padding: 2.5rem 1.25rem 4rem; }
h1 { font-size: 2rem; line-height: 1.2; margin: 0 0 .4rem; }
h2 { font-size: 1.3rem; margin: 2.8rem 0 .7rem; }
p, figcaption { margin: 0 0 .8rem; color: var(--soft); max-width: 75ch; }
figure { margin: 0; }
figure img { display: block; width: 100%; height: auto; background: #ffffff; border: 1px solid var(--line);
  border-radius: 10px; padding: 10px; }
.framed { overflow-x: auto; background: var(--card); border: 1px solid var(--line); border-radius: 10px; }
table { border-collapse: collapse; width: 100%; font-variant-numeric: tabular-nums; }
th, td { padding: .55rem .9rem; text-align: left; border-bottom: 1px solid var(--line); }
tbody tr:last-child > * { border-bottom: 0; }
thead th { color: var(--soft); font-weight: 600; font-size: .88rem; }
tbody th { font-weight: 500; }
td.number { text-align: right; white-space: nowrap; }
th.number { text-align: right; }
td.value { font-weight: 700; font-size: 1.1rem; }
.reached { color: var(--good); font-weight: 600; }
.track { display: block; width: 9rem; height: .6rem; border-radius: .3rem; overflow: hidden;
  background: var(--track); }
.bar { display: block; height: 100%; background: var(--bar); }
code, pre { font: .9rem/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
pre { margin: 0; padding: .8rem 1rem; white-space: pre-wrap; overflow-wrap: anywhere; }
audio { display: block; width: 100%; max-width: 34rem; margin: .2rem 0 1rem; }
summary { cursor: pointer; font-size: 1.3rem; font-weight: 700; margin: 2.8rem 0 .7rem; }
"""
PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy"
 content="default-src 'none'; img-src data:; media-src data:; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<main>
{content}
</main>
</body>
</html>
"""
SIGNATURES = {"image/png": b"\x89PNG\r\n\x1a\n", "audio/wav": b"RIFF"}  # the first bytes of such files


@dataclass(frozen=True)
class Measure:
    """A final figure: what was measured, what guessing gives and what was aimed at.

    Whether more is better follows from goal and chance: the goal lies on the better side.
    """

    name: str
    value: float
    chance: float | None = None
    goal: float | None = None

    def __post_init__(self) -> None:
        if self.goal is not None and (self.chance is None or self.chance == self.goal):
            raise ValueError(
                f"{self.name}: a goal needs a chance level that differs from it, got {self.chance}"
            )


@dataclass(frozen=True)
class Illustration:
    """A PNG file with a heading, a caption that says how to read it, and a text that stands in for it."""

    path: Path
    heading: str
    caption: str
    alt_text: str


@dataclass(frozen=True)
class Sound:
    """A WAV file and what is heard in it."""

    path: Path
    caption: str


@dataclass(frozen=True)
class Summary:
    """What a run was: its title and introduction, the command that made it, its results, facts and settings.

    `facts` are said in one line under the title ("steps": "3,000"); `config` is the table at the end.
    """

    title: str
    introduction: str
    command: str
    measures: Sequence[Measure]
    facts: Mapping[str, str]
    config: Mapping[str, object]


def write_report(
    folder: str | os.PathLike[str],
    summary: Summary,
    illustrations: Sequence[Illustration],
    sounds: Sequence[Sound] = (),
) -> Path:
    """Write `report.html` into the folder, whole or not at all, pictures and sounds inside; returns its path.

    The same inputs give the same bytes. Raises ValueError if a picture or sound is missing or is another
    kind of file.
    """
    page = format_page(summary, illustrations, sounds)
    return write_atomically(Path(folder) / "report.html", lambda path: path.write_bytes(page.encode()))


def format_page(summary: Summary, illustrations: Sequence[Illustration], sounds: Sequence[Sound]) -> str:
    """The whole page, all text escaped; its head forbids the browser to load anything from elsewhere."""
    facts = " · ".join(f"{name} {value}" for name, value in summary.facts.items())
    content = [
        f"<h1>{escape(summary.title)}</h1>",
        f"<p>{escape(summary.introduction)}</p>",
        f"<p>{escape(facts)}</p>" if facts else "",
        format_measures(summary.measures) if summary.measures else "",
        *(format_illustration(illustration) for illustration in illustrations),
        format_sounds(sounds) if sounds else "",
        "<h2>The command that made it</h2>",
        f'<div class="framed"><pre>{escape(summary.command)}</pre></div>',
        format_config(summary.config) if summary.config else "",
    ]
    return PAGE.format(
        title=escape(summary.title), style=STYLE, content="\n".join(part for part in content if part)
    )


def format_measures(measures: Sequence[Measure]) -> str:
    """The table of final figures: each beside chance and goal, and how far it came between the two."""
    rows = "\n".join(format_measure(measure) for measure in measures)
    return f"""<h2>Final figures</h2>
<div class="framed"><table>
<thead><tr><th scope="col">Measure</th><th scope="col" class="number">This run</th>
<th scope="col" class="number">Chance</th><th scope="col" class="number">Goal</th>
<th scope="col">From chance to goal</th></tr></thead>
<tbody>
{rows}
</tbody>
</table></div>"""


def format_measure(measure: Measure) -> str:
    """A row of the table; where there is a goal, a bar is full once it is reached, and words say so."""
    value, chance, goal = measure.value, measure.chance, measure.goal
    guessed, wanted, progress = "–" if chance is None else f"{chance:.4g}", "–", ""
    if goal is not None and chance is not None:
        wanted = f"{'≥' if goal > chance else '≤'} {goal:.4g}"
        way = (value - chance) / (goal - chance)  # 0 at chance, 1 at the goal
        width = 100 * min(max(way, 0), 1) if math.isfinite(way) else 0
        verdict = '<span class="reached">✓ reached</span>' if way >= 1 else "not reached"
        progress = (
            f'<span class="track"><span class="bar" style="width: {width:.0f}%"></span></span>{verdict}'
        )
    return (
        f'<tr><th scope="row">{escape(measure.name)}</th><td class="number value">{value:.4g}</td>'
        f'<td class="number">{guessed}</td><td class="number">{wanted}</td>'
        f"<td>{progress}</td></tr>"
    )


def format_illustration(illustration: Illustration) -> str:
    """A picture under its heading, with its caption."""
    return f"""<h2>{escape(illustration.heading)}</h2>
<figure>
<figcaption>{escape(illustration.caption)}</figcaption>
<img alt="{escape(illustration.alt_text)}" src="{encode_file(illustration.path, "image/png")}">
</figure>"""


def format_sounds(sounds: Sequence[Sound]) -> str:
    """A player for each sound."""
    players = (
        f"<p>{escape(sound.caption)}</p>\n"
        f'<audio controls aria-label="{escape(sound.caption)}" '
        f'src="{encode_file(sound.path, "audio/wav")}"></audio>'
        for sound in sounds
    )
    return "\n".join(["<h2>To listen to</h2>", *players])


def format_config(config: Mapping[str, object]) -> str:
    """All settings, folded away."""
    rows = "\n".join(
        f'<tr><th scope="row"><code>{escape(name)}</code></th><td><code>{escape(str(value))}</code></td></tr>'
        for name, value in config.items()
    )
    return f"""<details>
<summary>Configuration</summary>
<div class="framed"><table>
<tbody>
{rows}
</tbody>
</table></div>
</details>"""


def encode_file(path: Path, media_type: str) -> str:
    """A PNG or WAV file as a data URI; ValueError if it is not there or does not begin like one."""
    if not path.is_file():
        raise ValueError(f"{path} is to go into the report and is not there: write it first")
    content = path.read_bytes()
    if not content.startswith(SIGNATURES[media_type]):
        raise ValueError(f"{path} is to go into the report as {media_type} and is none: write it as such")
    return f"data:{media_type};base64,{base64.b64encode(content).decode('ascii')}"
