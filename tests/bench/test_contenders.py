"""Who takes part is said in a word, and only what is installed can."""

from importlib.metadata import PackageNotFoundError

import numpy as np
import pytest

from minitvlt.bench import contenders
from minitvlt.bench.contenders import (
    LIBRARIES,
    ON_CUDA,
    Contender,
    find_versions,
    list_installed,
    parse_contender,
    why_missing,
)

NAMES = {
    "numpy": Contender("numpy"),
    "librosa": Contender("librosa"),
    "torch-cuda": Contender("torch", "cuda"),
    "torch-bfloat16": Contender("torch", precision="bfloat16"),
    "transformers-cuda-bfloat16-compiled": Contender("transformers", "cuda", "bfloat16", True),
}
EVERYTHING = {"numpy": "2", "torch": "2", "transformers": "4.40.2", "librosa": "0.11"}


@pytest.mark.parametrize(("name", "contender"), NAMES.items())
def test_a_name_says_everything(name, contender):
    assert parse_contender(name) == contender
    assert contender.name == name


def test_what_goes_without_saying_may_be_said():
    assert parse_contender("torch-float32-cpu") == parse_contender("torch")
    assert parse_contender("torch-compiled-bfloat16-cuda").name == "torch-cuda-bfloat16-compiled"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tensorflow", "begins with numpy, torch, pairwise, transformers, librosa, got 'tensorflow'"),
        ("numpy-cuda", "numpy to be followed by cpu, float32, got 'numpy-cuda'"),
        ("torch-fast", "torch to be followed by bfloat16, compiled, cpu, cuda, float32, got 'torch-fast'"),
        ("", "begins with numpy"),
    ],
)
def test_other_names_are_refused(name, expected):
    with pytest.raises(ValueError, match=expected):
        parse_contender(name)


def test_who_does_what():
    able = {
        work: [name for name in [*LIBRARIES, *ON_CUDA] if parse_contender(name).can_do(work)]
        for work in ("inference", "step", "raw-inference", "spectrogram", "retrieval")
    }
    on_models = ["numpy", "torch", "transformers", *ON_CUDA]
    assert able["inference"] == able["step"] == able["raw-inference"] == on_models
    assert able["spectrogram"] == ["numpy", "torch", "transformers", "librosa", "torch-cuda"]
    on_cuda = ["torch-cuda", "torch-cuda-bfloat16", "transformers-cuda"]
    assert able["retrieval"] == ["numpy", "torch", "pairwise", "transformers", *on_cuda]


@pytest.mark.parametrize(
    ("installed", "expected"),
    [
        ({}, ["numpy", "pairwise"]),
        ({"torch": "2"}, ["numpy", "torch", "pairwise"]),
        ({"transformers": "4.40.2"}, ["numpy", "pairwise"]),
        ({"torch": "2", "transformers": "5.0.0"}, ["numpy", "torch", "pairwise"]),
        (EVERYTHING, list(LIBRARIES)),
    ],
)
def test_what_is_not_installed_takes_no_part(monkeypatch, installed, expected):
    monkeypatch.setattr(contenders, "find_versions", lambda: installed)
    assert [one.name for one in list_installed(has_cuda=False)] == expected
    for library in LIBRARIES:
        missing = why_missing(library)
        assert (missing is None) == (library in expected)
        assert missing is None or (library in missing and "is not installed" in missing)


def test_a_graphics_card_brings_its_own(monkeypatch):
    monkeypatch.setattr(contenders, "find_versions", lambda: EVERYTHING)
    assert [one.name for one in list_installed(has_cuda=True)] == [*LIBRARIES, *ON_CUDA]


def test_versions_are_those_that_are_installed(monkeypatch):
    assert find_versions()["numpy"] == np.__version__

    def find_numpy_alone(name: str) -> str:
        if name != "numpy":
            raise PackageNotFoundError(name)
        return "2.1"

    monkeypatch.setattr(contenders, "version", find_numpy_alone)
    assert find_versions() == {"numpy": "2.1"}
