"""Figures follow from the measurements, and the table and the file hold all of them."""

import json
import re

import numpy as np
import pytest

from minitvlt.bench.cases import Case, make_case
from minitvlt.bench.results import (
    Row,
    compare_with_peers,
    describe_run,
    find_processor,
    format_seconds,
    format_table,
    write_results,
)

CASE = make_case("step", "tiny-97", batch=5)
OURS = Row(CASE, "numpy", 5, (0.2, 0.1, 0.4, 0.3, 0.15), (3e10, 1e10, 2e10), 3 << 20)
THEIRS = Row(CASE, "transformers", 5, (0.5, 0.7, 0.6), (2e10,) * 3, 7 << 20)
FAILED = Row(CASE, "torch", 5, (0.2,), (1e10,), 1 << 20, error="it was killed")
ROWS = [OURS, THEIRS, FAILED]


def test_figures_of_a_row():
    assert OURS.median == 0.2
    np.testing.assert_allclose(OURS.quartiles, np.percentile(OURS.seconds, (25, 75)))
    assert OURS.items_per_second == 5 / 0.2
    assert OURS.flops_per_second == CASE.flops / 0.2
    assert OURS.floor == CASE.flops / 2e10
    assert OURS.share_of_floor == pytest.approx(CASE.flops / 2e10 / 0.2)


def test_one_measurement_has_no_spread():
    assert Row(CASE, "numpy", 5, (0.25,)).quartiles == (0.25, 0.25)


def test_a_failed_row_has_no_figures():
    names = ("median", "quartiles", "items_per_second", "flops_per_second", "floor", "share_of_floor")
    assert [getattr(FAILED, name) for name in names] == [None] * 6
    assert compare_with_peers(FAILED, ROWS) == {}


def test_work_without_counted_products_has_no_floor():
    row = Row(make_case("spectrogram", "base"), "numpy", 1, (0.2,))
    assert (row.flops_per_second, row.floor, row.share_of_floor) == (None, None, None)
    assert row.items_per_second == 5


def test_what_fitted_decides_the_figures():
    row = Row(make_case("step", "tiny-97", batch="max"), "torch-cuda", 7, (0.5,), (1e12,))
    assert row.items_per_second == 14
    assert row.flops_per_second == make_case("step", "tiny-97", batch=7).flops / 0.5
    assert row.case.title.endswith("the largest batch that fits") and "14 (batch 7)" in format_table([row])


def test_peers_of_the_same_case_are_compared_with():
    elsewhere = Row(make_case("step", "tiny-97", batch=2), "transformers", 2, (0.1,))
    assert compare_with_peers(OURS, [*ROWS, elsewhere]) == {"transformers": pytest.approx(3.0)}
    assert compare_with_peers(THEIRS, ROWS) == {}, "ours are nobody's measure, nor is anyone his own"


def test_batches_that_differ_are_compared_by_the_clip():
    case = make_case("step", "tiny", batch="max")
    rows = [Row(case, "torch-cuda", 8, (1.0,)), Row(case, "transformers-cuda", 2, (0.5,))]
    assert compare_with_peers(rows[0], rows) == {"transformers-cuda": 2.0}


def test_the_table_holds_every_row():
    title, heads, ours, theirs, failed = format_table(ROWS).splitlines()
    assert title == "step: tiny-97, 4 frames + 64 steps, batch 5"
    assert heads.split()[:3] == ["median", "quartiles", "clips/s"]
    cells = re.split(r"\s{2,}", ours.strip())
    speed, floor = CASE.flops / 0.2 / 1e9, CASE.flops / 2e10
    assert cells == [
        "numpy", "200 ms", "150 ms – 300 ms", "25", "3 MiB", f"{speed:.1f}", format_seconds(floor),
        f"{floor / 0.2:.2f}", "3.00× transformers",
    ]  # fmt: skip
    assert theirs.strip().startswith("transformers  600 ms")
    assert failed.strip() == "torch         failed: it was killed"
    assert heads.index("median") + len("median") == ours.index("200 ms") + len("200 ms"), "columns align"


def test_a_table_of_nothing_but_failures():
    assert format_table([FAILED]).splitlines()[-1] == "  torch  failed: it was killed"


def test_what_is_not_known_is_a_dash():
    row = Row(make_case("spectrogram", "base"), "numpy", 1, (0.2,))
    assert re.split(r"\s{2,}", format_table([row]).splitlines()[2].strip())[4:] == ["–", "–", "–", "–"]


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(1234.6, "1235 s"), (12.345, "12.3 s"), (1.0, "1.00 s"), (0.05, "50.0 ms"), (4e-6, "0.00400 ms")],
)
def test_times_have_three_digits(seconds, text):
    assert format_seconds(seconds) == text


def test_the_file_holds_what_was_measured_and_what_follows(tmp_path):
    about = describe_run("minitvlt bench", threads=2, repeats=3, card="a card")
    path = write_results(tmp_path / "new" / "bench.json", about, ROWS)
    read = json.loads(path.read_text(encoding="utf-8"))
    assert {name: value for name, value in read.items() if name != "rows"} == about
    ours, _, failed = read["rows"]
    assert (ours["work"], ours["size"], ours["frames"], ours["steps"], ours["batch"]) == (
        "step", "tiny-97", 4, 64, 5,
    )  # fmt: skip
    assert Row(CASE, **{name: ours[name] for name in ("contender", "batch", "peak_bytes")},
               seconds=tuple(ours["seconds"]), rates=tuple(ours["rates"])) == OURS  # fmt: skip
    for name in ("median", "items_per_second", "flops_per_second", "floor", "share_of_floor"):
        assert ours[name] == getattr(OURS, name)
    assert ours["flops"] == CASE.flops and ours["times_as_fast_as"] == {"transformers": pytest.approx(3.0)}
    assert failed["error"] == "it was killed" and failed["median"] is None


def test_a_run_says_when_and_where(monkeypatch):
    about = describe_run("minitvlt bench --repeats 3", threads=2, repeats=3, card=None)
    assert about["command"] == "minitvlt bench --repeats 3" and about["threads"] == 2
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\+00:00", about["date"])
    assert about["versions"]["numpy"] == np.__version__
    assert about["processor"] and about["processors"] >= 1


def test_a_processor_without_a_name_has_a_kind(monkeypatch):
    monkeypatch.setattr("sys.platform", "elsewhere")
    monkeypatch.setattr("platform.processor", lambda: "")
    monkeypatch.setattr("platform.machine", lambda: "abacus")
    assert find_processor() == "abacus"


def test_cases_are_values():
    assert isinstance(CASE, Case) and make_case("step", "tiny-97", batch=5) == CASE
