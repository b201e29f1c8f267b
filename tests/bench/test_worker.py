"""The contender's side: questions in, answers out, whatever happens in between."""

import io
import json
import multiprocessing
import subprocess
import sys
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from minitvlt.backends import cores
from minitvlt.bench import worker
from minitvlt.bench.cases import case_to_dict, make_case
from minitvlt.bench.contenders import Contender
from minitvlt.bench.worker import Bench, answer, find_largest, make_product, measure_peak

CASE = case_to_dict(make_case("inference", "tiny"))


def ask(bench: Bench, question: str, **values: object) -> dict:
    return answer(bench, json.dumps({"ask": question, **values}))


def test_a_contender_prepares_works_and_multiplies():
    bench = Bench()
    assert ask(bench, "prepare", contender="numpy", case=CASE) == {"batch": 1}
    found = ask(bench, "work", at_least=0.0)
    assert found["seconds"] > 0 and found["peak_bytes"] > 1 << 20
    assert ask(bench, "measure_rate")["rate"] > 1e6


def test_work_is_repeated_until_the_turn_is_over(monkeypatch):
    clock = iter(range(100))
    monkeypatch.setattr(worker, "perf_counter", lambda: float(next(clock)))
    runs = []
    found = ask(Bench(Contender("numpy"), run=lambda: runs.append(1)), "work", at_least=2.5)
    assert len(runs) == 3, "the clock is read at 0, and at 1, 2 and 3 after a run"
    assert found["seconds"] == pytest.approx(4 / 3)


def test_the_rate_is_that_of_the_fastest_product(monkeypatch):
    clock = iter([0.0, 0.0, 10.0, 14.0, 14.0, 20.0, 22.0, 99.0])
    monkeypatch.setattr(worker, "perf_counter", lambda: next(clock))
    monkeypatch.setattr(worker, "RATE_SECONDS", 15.0)
    bench = Bench(Contender("numpy"), multiply=lambda: None)
    n = worker.PRODUCT_SIZE["cpu"]
    assert ask(bench, "measure_rate") == {"rate": 2 * n**3 / 2.0}


@pytest.mark.parametrize("name", ["numpy", "librosa", "pairwise"])
def test_products_of_what_computes_on_numpy(name):
    product = make_product(Contender(name), 5)
    a, b = product.args
    assert product() is product.keywords["out"] and pytest.approx(a @ b) == product()


@pytest.mark.parametrize("name", ["torch", "transformers"])
def test_products_of_what_computes_on_torch(monkeypatch, name):
    torch = pytest.importorskip("torch", reason="torch is not installed")
    calls, matmul = [], torch.matmul
    monkeypatch.setattr(torch, "matmul", lambda a, b, out: calls.append((a, b, matmul(a, b, out=out))))
    make_product(Contender(name, precision="bfloat16"), 5)()
    ((a, b, c),) = calls
    assert {x.dtype for x in (a, b, c)} == {torch.bfloat16} and torch.equal(c, a @ b)


@given(limit=st.integers(1, 10_000))
def test_the_largest_batch_is_found_to_within_an_eighth(limit):
    tried = []
    best = find_largest(lambda batch: tried.append(batch) or batch <= limit)
    assert best <= limit < best + max(1, best // 8)
    assert len(tried) < 20


def test_where_not_even_one_clip_fits_that_is_said():
    with pytest.raises(MemoryError, match="not even one clip fits"):
        find_largest(lambda batch: False)


def test_as_many_clips_are_taken_as_fit(monkeypatch):
    pytest.importorskip("torch", reason="torch is not installed")
    monkeypatch.setattr(worker, "find_largest", lambda fits: 3 if fits(3) else 1)
    case = case_to_dict(make_case("inference", "tiny", batch="max"))
    bench = Bench()
    assert ask(bench, "prepare", contender="torch", case=case) == {"batch": 3}
    assert bench.run().cls.shape == (3, 64)


def test_what_goes_wrong_is_an_answer():
    found = ask(Bench(), "prepare", contender="torch-cuda", case=CASE)
    assert found["error"].startswith("ValueError: There is no device 'cuda' here")
    assert "\n" not in ask(Bench(), "work", at_least="a\nlong")["error"]


def test_the_card_is_named():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    expected = torch.cuda.get_device_name() if torch.cuda.is_available() else None
    assert ask(Bench(), "describe") == {"card": expected}


def test_the_rate_is_that_of_all_cores_also_while_the_work_has_a_process_for_each():
    cores.gather.cache_clear()
    with threadpool_limits(3, user_api="blas"):
        free = cores.reserve_cores()
        library = cores.gather().libraries[0]
        bench = Bench(Contender("numpy"), multiply=lambda: threads.append(library.num_threads))
        threads = []
        ask(bench, "measure_rate")
        assert set(threads) == {3} and library.num_threads == 1
        free()


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of a fork beside threads, on newer Pythons
@pytest.mark.skipif(sys.platform != "linux", reason="helpers are for Linux")
def test_memory_of_helpers_is_counted():
    alone = measure_peak(Contender("numpy"))
    helper = multiprocessing.get_context("fork").Process(target=time.sleep, args=(60,), daemon=True)
    helper.start()
    try:
        assert measure_peak(Contender("numpy")) > alone + (1 << 20)
    finally:
        helper.kill()
        helper.join()


def test_memory_of_this_process_is_counted(monkeypatch, tmp_path):
    assert 10 << 20 < measure_peak(Contender("numpy")) < 1 << 40
    monkeypatch.setattr(worker, "PROCESSES", tmp_path / "nothing")
    assert 10 << 20 < measure_peak(Contender("numpy")) < 1 << 40, "by getrusage"
    monkeypatch.setitem(sys.modules, "resource", None)
    assert measure_peak(Contender("numpy")) is None


def test_memory_of_the_card_is_counted():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    assert measure_peak(Contender("torch", "cuda")) == torch.cuda.max_memory_allocated()


def test_memory_that_runs_out_on_the_card_is_no_fault():
    torch = pytest.importorskip("torch", reason="torch is not installed")
    from minitvlt.bench.torch_tools import fits

    def run_out() -> None:
        raise torch.OutOfMemoryError("too large")

    def fail() -> None:
        raise KeyError("ours")

    assert fits(lambda: None) and not fits(run_out)
    with pytest.raises(KeyError):
        fits(fail)


def test_what_a_library_prints_does_not_disturb_the_answers():
    """A process of its own: `print` in it goes to the error stream."""
    code = "import minitvlt.bench.worker as w; out = w.take_output(); print('hello'); print('{}', file=out)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert (done.stdout, done.stderr) == ("{}\n", "hello\n")


def test_the_end_of_the_input_is_the_end(monkeypatch):
    answers = io.StringIO()
    monkeypatch.setattr(worker, "take_output", lambda: answers)
    monkeypatch.setattr(sys, "stdin", io.StringIO('{"ask": "sleep"}\n{"ask": "work", "at_least": 0}\n'))
    worker.main()
    errors = [json.loads(line)["error"] for line in answers.getvalue().splitlines()]
    assert "no attribute 'sleep'" in errors[0] and "Type" in errors[1] and len(errors) == 2


def test_the_process_answers_line_by_line_until_its_input_ends():
    lines = json.dumps({"ask": "prepare", "contender": "numpy", "case": CASE}) + "\n"
    lines += json.dumps({"ask": "work", "at_least": 0.0}) + "\n" + json.dumps({"ask": "work"}) + "\n"
    command = [sys.executable, "-m", "minitvlt.bench.worker"]
    done = subprocess.run(command, input=lines, capture_output=True, text=True, check=True)
    prepared, worked, failed = map(json.loads, done.stdout.splitlines())
    assert prepared == {"batch": 1} and worked["seconds"] > 0
    assert failed["error"].startswith("TypeError") and "at_least" in failed["error"]
