"""`minitvlt bench`: a row for every contender of every case, on the screen, in a file and in a picture."""

import argparse
import json
from pathlib import Path

import pytest

from minitvlt.__main__ import main, make_parser
from minitvlt.bench import contenders
from minitvlt.bench.contenders import LIBRARIES, ON_CUDA
from minitvlt.commands import bench
from minitvlt.commands.bench import count_processors, make_plan

FIGURES = ("median", "quartiles", "items_per_second", "peak_bytes")
COUNTED = ("flops", "flops_per_second", "floor", "share_of_floor")
QUICK = ("--repeats", "1", "--threads", "1", "--timeout", "300")


@pytest.fixture(autouse=True)
def at_work(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


@pytest.fixture
def everything_installed(monkeypatch):
    versions = {"numpy": "2", "torch": "2", "transformers": "4.40.2", "librosa": "0.11"}
    monkeypatch.setattr(contenders, "find_versions", lambda: versions)


def read(*words: str) -> argparse.Namespace:
    return make_parser().parse_args(["bench", *words])


def plan(*words: str, card: str | None = None) -> dict[str, list[str]]:
    """Who takes part in what."""
    return {case.title: [one.name for one in able] for case, able in make_plan(read(*words), card)}


def test_every_figure_of_every_contender_is_shown_and_kept(capsys):
    words = ["--work", "retrieval", "spectrogram", "--size", "tiny", "--batch", "2"]
    words += ["--backends", "numpy", "pairwise", "--json", "all.json", "--chart", "all.png"]
    assert main(["bench", *words, *QUICK]) == 0
    out = capsys.readouterr().out
    read = json.loads(Path("all.json").read_text(encoding="utf-8"))
    rows = {(row["work"], row["contender"]): row for row in read["rows"]}
    assert list(rows) == [("retrieval", "numpy"), ("retrieval", "pairwise"), ("spectrogram", "numpy")]
    for (work, contender), row in rows.items():
        assert row["error"] is None and row["batch"] == 2 and len(row["seconds"]) == 1
        assert all(row[name] for name in FIGURES)
        assert all((row[name] is not None) == (work == "retrieval") for name in COUNTED)
        assert f"\n  {contender} " in out
    fast, slow = (rows["retrieval", name]["median"] for name in ("numpy", "pairwise"))
    assert rows["retrieval", "numpy"]["times_as_fast_as"] == {"pairwise": pytest.approx(slow / fast)}
    assert f"{slow / fast:.2f}× pairwise" in out
    assert out.startswith("retrieval: tiny, 3 frames + 24 steps, batch 2\n")
    assert read["threads"] == read["repeats"] == 1 and read["command"].startswith(
        "minitvlt bench --work retr"
    )
    assert Path("all.png").read_bytes().startswith(b"\x89PNG")


def test_one_that_fails_is_named_and_the_others_are_kept(capsys, monkeypatch):
    monkeypatch.setattr(bench, "find_card", lambda *_: "a card that is not there")
    words = [
        "--work",
        "inference",
        "--size",
        "tiny",
        "--backends",
        "torch-cuda",
        "numpy",
        "--json",
        "some.json",
    ]
    pytest.importorskip("torch", reason="torch is not installed")
    if __import__("torch").cuda.is_available():
        pytest.skip("there is a CUDA device here, on which nothing fails")
    assert main(["bench", *words, *QUICK]) == 2
    out, err = capsys.readouterr()
    assert "torch-cuda  failed: ValueError: There is no device 'cuda' here" in out
    assert (
        err.startswith("minitvlt bench: 1 of 2 failed: torch-cuda (inference: tiny") and err.count("\n") == 1
    )
    failed, fine = json.loads(Path("some.json").read_text(encoding="utf-8"))["rows"]
    assert failed["error"] and failed["median"] is None and fine["median"] > 0


def test_without_a_word_there_is_something_for_everyone(everything_installed):
    found = plan()
    assert list(found) == [
        "inference: base-1, 1 frame + 1,024 steps, batch 1",
        "inference: base, 8 frames + 1,024 steps, batch 1",
        "step: tiny-97, 4 frames + 64 steps, batch 32",
        "spectrogram: 10 s of sound, batch 1",
        "retrieval: tiny, 3 frames + 24 steps, batch 32",
    ]
    assert {name for able in found.values() for name in able} == set(LIBRARIES)


def test_a_graphics_card_takes_part_and_brings_raw_inference(everything_installed):
    found = plan(card="a card")
    assert "raw-inference: base, 8 frames + 20 s of sound, batch 1" in found
    assert {name for able in found.values() for name in able} == {*LIBRARIES, *ON_CUDA}


def test_the_largest_batch_is_a_matter_of_the_card(everything_installed):
    found = plan("--work", "step", "--size", "base", "--batch", "max", card="a card")
    assert found == {"step: base, 8 frames + 1,024 steps, the largest batch that fits": list(ON_CUDA)}


def test_a_case_is_said_on_the_command_line(everything_installed):
    words = "--work step --sizes base --frames 4 --steps 512 --batch 2 --backends numpy transformers"
    assert plan(*words.split()) == {"step: base, 4 frames + 512 steps, batch 2": ["numpy", "transformers"]}
    words = "--work inference spectrogram --size tiny long --backends numpy librosa numpy"
    assert plan(*words.split()) == {
        "inference: tiny, 3 frames + 24 steps, batch 1": ["numpy"],
        "inference: long, 64 frames + 2,048 steps, batch 1": ["numpy"],
        "spectrogram: 10 s of sound, batch 1": ["numpy", "librosa"],
    }


def test_all_processors_are_used_unless_fewer_are_asked_for(monkeypatch):
    import os

    assert 1 <= count_processors() <= os.cpu_count()
    monkeypatch.delattr(os, "sched_getaffinity", raising=False)
    assert count_processors() == os.cpu_count()


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["--repeats", "0"], "--repeats must be above 0, not 0"),
        (["--threads", "-1"], "--threads must be above 0, not -1"),
        (["--timeout", "nan"], "--timeout must be above 0, not nan"),
        (["--json", "there.json"], "there.json is there already, and nothing is overwritten"),
        (["--chart", "there.json"], "there.json is there already"),
        (["--chart", "chart.pdf"], "end it in .png"),
        (["--backends", "jax"], "a backend that begins with numpy"),
        (["--backends", "torch-cuda"], "torch-cuda cannot take part: "),
        (["--work", "retrieval", "--backends", "librosa"], "Nobody can do retrieval: tiny"),
        (["--work", "step", "--batch", "max", "--backends", "numpy"], "on a graphics card: there are numpy"),
        (["--frames", "0"], "frames as a whole number of at least 1, got 0"),
        (["--work", "step", "--steps", "3"], "steps that the patch of 8 divides, got 3"),
    ],
)  # fmt: skip
def test_bad_requests_are_refused_before_any_work(capsys, monkeypatch, words, expected):
    monkeypatch.setattr(bench, "find_card", lambda *_: None)
    monkeypatch.setattr(bench, "race", lambda *_, **__: pytest.fail("work was done"))
    Path("there.json").write_text("mine")
    assert main(["bench", *words]) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.count("\n") == 1 and expected in err
    assert [path.name for path in Path().iterdir()] == ["there.json"]


@pytest.mark.parametrize("words", [["--batch", "many"], ["--work", "sleep"], ["--sizes", "huge"]])
def test_words_that_mean_nothing_are_refused(capsys, words):
    with pytest.raises(SystemExit, match="2"):
        main(["bench", *words])
    assert "usage: minitvlt bench" in capsys.readouterr().err
