"""The table of every class and argument of transformers is complete, and what it names is here."""

import dataclasses
import inspect
import re
from collections import defaultdict
from pathlib import Path

import pytest

import minitvlt as mt

transformers = pytest.importorskip("transformers", reason="transformers 4.40.2 is not installed: no peer")
port = pytest.importorskip("transformers.models.tvlt.modeling_tvlt", reason="this transformers holds no TVLT")

TABLE = Path(__file__).parents[1] / "notebooks" / "from_transformers.md"
ROWS = [
    [cell.strip() for cell in line.strip("|").split("|")]
    for line in TABLE.read_text(encoding="utf-8").splitlines()
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


def list_theirs() -> dict[str, set[str]]:
    """Every class, and every call of one, with its arguments; every output with its fields."""
    found = {output.__name__: {field.name for field in dataclasses.fields(output)} for output in OUTPUTS}
    for name in ("TvltConfig", *CALLS):
        kind = getattr(transformers, name)
        found[name] = set(inspect.signature(kind.__init__).parameters) - {"self"}
        if name in CALLS:
            call = getattr(kind, CALLS[name])
            found[f"{name}.{CALLS[name]}"] = set(inspect.signature(call).parameters) - {"self"}
    return found


def list_ours(name: str) -> set[str]:
    """The fields of a dataclass of ours, or the arguments of a function."""
    thing = getattr(mt, name)
    if dataclasses.is_dataclass(thing):
        return {field.name for field in dataclasses.fields(thing)}
    return set(inspect.signature(thing).parameters)


def test_every_class_and_every_argument_is_in_the_table_and_none_is_invented():
    table: dict[str, list[str]] = defaultdict(list)
    for there, arguments, _ in ROWS:
        if there != "all models and processors":
            table[there.strip("`")] += NAMES.findall(arguments)
    assert {name: sorted(arguments) for name, arguments in table.items()} == {
        name: sorted(arguments) for name, arguments in list_theirs().items()
    }


def test_all_public_classes_are_covered():
    public = {name for name in dir(transformers) if name.startswith("Tvlt")} - {"TvltPreTrainedModel"}
    assert public == {"TvltConfig", *CALLS}
    for name in ("from_pretrained", "save_pretrained"):
        assert sum(f"`{name}`" in arguments for _, arguments, _ in ROWS) == 1
        assert all(hasattr(getattr(transformers, each), name) for each in public)


@pytest.mark.parametrize(("there", "arguments", "here"), ROWS, ids=range(len(ROWS)))
def test_what_a_row_names_is_here(there, arguments, here):
    assert here
    for name in re.findall(r"`mt\.(\w+)", here):
        assert name in mt.__all__, name
    for names, ours in re.findall(r"((?:`\w+`(?:, | and )?)+) of `mt\.(\w+)`", here):
        assert set(NAMES.findall(names)) <= list_ours(ours), (names, ours)
    if here.startswith("the same names in `mt.Config`"):
        assert set(NAMES.findall(arguments)) <= list_ours("Config")


def test_defaults_of_the_processors_are_those_of_the_configuration():
    """Where the table says that an argument is a field, the default is the same number."""
    checked, kinds = 0, {"bilinear": 2, "bicubic": 3}
    for there, arguments, here in ROWS:
        found = re.match(r"((?:`\w+`(?:, )?)+) of `mt\.Config`", here)
        if not found or there.strip("`") not in ("TvltFeatureExtractor", "TvltImageProcessor"):
            continue
        parameters = inspect.signature(getattr(transformers, there.strip("`")).__init__).parameters
        for theirs, ours in zip(NAMES.findall(arguments), NAMES.findall(found[1]), strict=False):
            default, value = parameters[theirs].default, getattr(mt.Config(), ours)
            if theirs in ("hop_length_to_sampling_rate", "size", "crop_size"):  # said in another unit
                continue
            assert default == kinds.get(value, list(value) if isinstance(value, tuple) else value), theirs
            checked += 1
    assert checked >= 9
    hop = transformers.TvltFeatureExtractor().hop_length
    crop = transformers.TvltImageProcessor().crop_size
    assert (hop, crop) == (mt.Config().hop_length, dict.fromkeys(("height", "width"), mt.Config().image_size))
