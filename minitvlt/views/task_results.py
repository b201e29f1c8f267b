"""What a fine-tuned model answered: figures, a line for each clip, pictures and a report."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from jaxtyping import Float, Shaped
from matplotlib.figure import Figure

from minitvlt.config import Config
from minitvlt.files import write_atomically
from minitvlt.training.finetuning import LOGGED, Task
from minitvlt.training.scoring import describe_predictions, score_task
from minitvlt.training.trainer import METRICS, read_metrics
from minitvlt.views.plotting import plot_curves, plot_matching, save_figure
from minitvlt.views.report import Illustration, Measure, Summary, write_report
from minitvlt.views.task_plotting import list_task_curves, plot_bars, plot_confusion, plot_numbers

# What the standard runs on the embedded world are to reach
GOALS = {
    "shape": ("accuracy", 0.9),
    "valence": ("Pearson correlation", 0.9),
    "attributes": ("mean F1", 0.9),
}
DRAWN = 32  # clips in the picture of all scores
INTRODUCTION = (
    "A pre-trained model was given a new head, and all of it learnt the task {!r}. The figures were measured "
    "on {:,} clips that it had not learnt from; chance is the best answer that is the same for all of them."
)
CURVES_TEXT = (
    "Training",
    "Loss and figure of each batch over the steps; thin lines are single steps, thick ones running means.",
    "Curves of the loss, the figure of the task, the learning rate and the gradient norm over the steps.",
)
ANSWERS_TEXTS = {
    "classification": (
        "Answers",
        "How often each class was taken for each class; right answers lie on the diagonal.",
        "A table of counts, true classes in rows and predicted ones in columns.",
    ),
    "regression": (
        "Answers",
        "The predicted number of each clip over the true one; right answers lie on the line.",
        "A cloud of points along a diagonal.",
    ),
    "labels": (
        "Labels",
        "F1 of each label; a line across each bar says what one reaches who says yes to every clip.",
        "A bar for each label.",
    ),
    "ranking": (
        "Scores",
        "The score of every sound with every video of some clips. A dark diagonal means that each sound "
        "finds its own video.",
        "A square of scores, sounds against videos, darkest where sound and video belong together.",
    ),
}


@dataclass(frozen=True, eq=False)
class Answers:
    """What a model answered for clips, and the truth; see `minitvlt.training.finetuning.answer`"""

    task: Task
    predictions: Float[np.ndarray, "clips outputs"]
    labels: Shaped[np.ndarray, "clips *labels"] | None
    clips: list[str]  # what the clips are called


def list_task_measures(answers: Answers, name: str, has_goals: bool) -> list[Measure]:
    """Name the figures, beside what guessing gives and the goals that the standard runs have."""
    task = answers.task
    named, goal = GOALS.get(name, ("", None)) if has_goals else ("", None)
    figures = score_task(task.loss_type, answers.predictions, answers.labels, task.names)
    return [
        Measure(figure.name, figure.value, figure.chance, goal if figure.name == named else None)
        for figure in figures
    ]


def write_answers(folder: Path, answers: Answers, measures: Sequence[Measure]) -> None:
    """Write `scores.json`, the figures, and `predictions.jsonl`, a line for each clip."""
    figures = {measure.name: measure.value for measure in measures}
    task = answers.task
    lines = describe_predictions(
        task.loss_type, answers.predictions, answers.labels, task.names, answers.clips
    )
    texts = {
        "scores.json": json.dumps(figures, indent=2) + "\n",
        "predictions.jsonl": "".join(json.dumps(line, ensure_ascii=False) + "\n" for line in lines),
    }
    for name, text in texts.items():
        write_atomically(folder / name, lambda path, text=text: path.write_text(text, encoding="utf-8"))


def show_answers(
    folder: Path, answers: Answers, measures: Sequence[Measure], name: str, command: str, config: Config
) -> Path:
    """Draw training and answers into the folder of a run, and write its `report.html`; returns its path."""
    task, metrics = answers.task, read_metrics(folder / METRICS)
    panels = list_task_curves(LOGGED[task.loss_type][0])
    illustrations = [
        Illustration(save_figure(plot_curves(metrics, panels), folder / "curves.png"), *CURVES_TEXT)
    ]
    figure = draw_answers(answers, measures)
    if figure is not None:
        path = save_figure(figure, folder / "answers.png")
        illustrations.append(Illustration(path, *ANSWERS_TEXTS[task.loss_type]))
    summary = Summary(
        title=f"A TVLT, fine-tuned: {name}",
        introduction=INTRODUCTION.format(name, len(answers.clips)),
        command=command,
        measures=measures,
        facts={"steps": f"{len(metrics):,}", "last loss": f"{metrics[-1]['loss']:.4f}"},
        config=config.to_dict(),
    )
    return write_report(folder, summary, illustrations)


def draw_answers(answers: Answers, measures: Sequence[Measure]) -> Figure | None:
    """Draw what fits the task; for answers to questions there is no picture."""
    task, predictions = answers.task, answers.predictions
    match task.loss_type:
        case "classification":
            return plot_confusion(answers.labels, predictions.argmax(axis=1), task.names)
        case "regression":
            return plot_numbers(answers.labels.reshape(len(predictions)), predictions[:, 0])
        case "labels":
            own = {measure.name: measure for measure in measures}
            bars = [own[f"F1 of {name}"] for name in task.names]
            values, chances = (np.array([getattr(bar, part) for bar in bars]) for part in ("value", "chance"))
            return plot_bars(task.names, values, chances)
        case "ranking":
            return plot_matching(predictions[:DRAWN, :DRAWN])
    return None
