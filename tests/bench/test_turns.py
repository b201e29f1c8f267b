"""Contenders take turns; whatever one of them does, the others go on, and no process is left."""

import sys
from typing import Any

import pytest

from minitvlt.bench import turns
from minitvlt.bench.cases import case_to_dict, make_case
from minitvlt.bench.contenders import Contender
from minitvlt.bench.turns import Worker, WorkerError, find_card, race

CASE = make_case("retrieval", "tiny", batch=3)
NUMPY, PAIRWISE = Contender("numpy"), Contender("pairwise")
PATIENCE = 120.0  # seconds: far more than anything here takes


@pytest.fixture
def started(monkeypatch) -> list[Worker]:
    """All workers that were started."""
    found: list[Worker] = []

    class Watched(Worker):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            found.append(self)

    monkeypatch.setattr(turns, "Worker", Watched)
    return found


def have_ended(workers: list[Worker]) -> bool:
    return all(worker._process.poll() is not None for worker in workers)


def prepare(worker: Worker) -> None:
    worker.ask("prepare", contender="numpy", case=case_to_dict(CASE))


def test_each_has_its_turns_and_all_end(started):
    told: list[str] = []
    rows = race(CASE, [NUMPY, PAIRWISE], 3, 1, PATIENCE, turn_seconds=0.0, tell=told.append)
    assert told == ["numpy", "pairwise"] * 4, "one to warm up, then in turns"
    assert [row.contender for row in rows] == ["numpy", "pairwise"]
    for row in rows:
        assert (row.error, row.batch, row.case) == (None, 3, CASE)
        assert len(row.seconds) == len(row.rates) == 3
        assert row.median > 0 and row.peak_bytes > 0 and row.share_of_floor > 0
    assert len(started) == 2 and have_ended(started)
    assert [worker._process.returncode for worker in started] == [0, 0]


def test_where_no_products_are_counted_no_rate_is_measured():
    (row,) = race(make_case("spectrogram", "base"), [NUMPY], 1, 1, PATIENCE, turn_seconds=0.0)
    assert row.rates == () and len(row.seconds) == 1


def test_one_that_fails_drops_out_and_the_others_go_on(started):
    rows = race(CASE, [Contender("torch", "cuda"), NUMPY], 1, 1, PATIENCE, turn_seconds=0.0)
    failed, fine = rows
    assert failed.error and failed.seconds == () and failed.median is None
    assert fine.error is None and fine.median > 0
    assert have_ended(started)


def test_one_that_is_killed_drops_out(started):
    def kill_the_first(name: str) -> None:
        if len(started) == 2 and name == "numpy":
            started[0]._process.kill()

    rows = race(CASE, [NUMPY, PAIRWISE], 2, 1, PATIENCE, turn_seconds=0.0, tell=kill_the_first)
    assert rows[0].error == "the process was killed, as happens when memory runs out"
    assert len(rows[1].seconds) == 2 and have_ended(started)


def test_an_interruption_leaves_no_process(started):
    def interrupt(name: str) -> None:
        if len(started) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        race(CASE, [NUMPY, PAIRWISE], 2, 1, PATIENCE, tell=interrupt)
    assert len(started) == 2 and have_ended(started)


def test_no_answer_in_time_is_an_error_and_the_end_of_the_process():
    with Worker(1, PATIENCE) as worker:
        prepare(worker)
        worker._timeout = 0.3
        with pytest.raises(WorkerError, match=r"no answer within 0.3 s: --timeout gives it more"):
            worker.ask("work", at_least=1e9)
        assert worker._process.wait(timeout=PATIENCE) != 0


def test_a_process_that_does_not_end_by_itself_is_ended(monkeypatch):
    monkeypatch.setattr(turns, "FAREWELL", 0.2)
    monkeypatch.setattr(turns, "COMMAND", [sys.executable, "-c", "import time; time.sleep(1e6)"])
    with Worker(1, PATIENCE) as worker:
        pass
    assert worker._process.returncode != 0


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        ("raise SystemExit('first\\nno such luck\\n')", "the process ended with status 1: no such luck"),
        ("raise SystemExit(7)", "the process ended with status 7"),
    ],
)
def test_a_process_that_ends_says_why(monkeypatch, program, expected):
    monkeypatch.setattr(turns, "COMMAND", [sys.executable, "-c", program])
    with Worker(1, PATIENCE) as worker, pytest.raises(WorkerError) as error:
        worker.ask("describe")
    assert str(error.value) == expected


def test_every_contender_has_the_same_number_of_threads(monkeypatch):
    names = ", ".join(f"os.environ[{name!r}]" for name in turns.THREAD_SETTINGS)
    program = f"import os, sys; sys.exit(str(sorted({{{names}}})))"
    monkeypatch.setattr(turns, "COMMAND", [sys.executable, "-c", program])
    with Worker(3, PATIENCE) as worker, pytest.raises(WorkerError, match=r"status 1: \['3'\]"):
        worker.ask("describe")


def test_where_nothing_answers_there_is_no_card(monkeypatch):
    monkeypatch.setattr(turns, "COMMAND", [sys.executable, "-c", "raise SystemExit(1)"])
    assert find_card(1, PATIENCE) is None


def test_the_card_is_found_by_another_process():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    expected = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    assert find_card(1, PATIENCE) == expected
