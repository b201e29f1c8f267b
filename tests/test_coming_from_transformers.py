"""The table of every class and argument of transformers is complete, and what it names exists here."""

import dataclasses
import inspect
import re
from collections import defaultdict

import pytest

import minitvlt as mt
from tests.helpers.peers import port, transformers
from tests.helpers.shape_comments import ROOT

TABLE = (ROOT / "notebooks" / "from_transformers.md").read_text("utf-8")
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.splitlines()
    if line.startswith("| ") and not line.startswith("| there ")
]
NAMES = re.compile(r"`(\w+)`")
CALLS = {
    "TvltModel": "forward",
    "TvltForPreTraining": "forward",
    "TvltForAudioVisualClassification": "forward",
    "TvltFeatureExtractor": "__call__",
    "TvltImageProcessor": "preprocess",
    "TvltProcessor": "__call__",
}
OUTPUTS = [port.TvltModelOutput, port.TvltForPreTrainingOutput, port.SequenceClassifierOutput]


def list_arguments(function: object) -> set[str]:
    return set(inspect.signature(function).parameters) - {"self"}


def list_fields(kind: type) -> set[str]:
    return {field.name for field in dataclasses.fields(kind)}


def list_theirs() -> dict[str, set[str]]:
    """Every class, and every call of one, with its arguments; every output with its fields."""
    found = {output.__name__: list_fields(output) for output in OUTPUTS}
    for name in ("TvltConfig", *CALLS):
        found[name] = list_arguments(getattr(transformers, name).__init__)
    for name, call in CALLS.items():
        found[f"{name}.{call}"] = list_arguments(getattr(getattr(transformers, name), call))
    return found


def test_every_class_and_every_argument_is_in_the_table_and_none_is_invented():
    table: dict[str, list[str]] = defaultdict(list)
    for there, arguments, _ in ROWS:
        if there != "all models and processors":
            table[there.strip("`")] += NAMES.findall(arguments)
    assert {name: sorted(arguments) for name, arguments in table.items()} == {
        name: sorted(arguments) for name, arguments in list_theirs().items()
    }
    public = {name for name in dir(transformers) if name.startswith("Tvlt")} - {"TvltPreTrainedModel"}
    assert public == {"TvltConfig", *CALLS}
    for name in ("from_pretrained", "save_pretrained"):
        assert sum(f"`{name}`" in arguments for _, arguments, _ in ROWS) == 1


@pytest.mark.parametrize(("there", "arguments", "here"), ROWS, ids=range(len(ROWS)))
def test_what_a_row_names_is_here(there, arguments, here):
    assert here
    for name in re.findall(r"`mt\.(\w+)", here):
        assert name in mt.__all__, name
    for names, ours in re.findall(r"((?:`\w+`(?:, | and )?)+) of `mt\.(\w+)`", here):
        thing = getattr(mt, ours)
        known = list_fields(thing) if dataclasses.is_dataclass(thing) else list_arguments(thing)
        assert set(NAMES.findall(names)) <= known, (names, ours)
    if here.startswith("the same names in `mt.Config`"):
        assert set(NAMES.findall(arguments)) <= list_fields(mt.Config)
