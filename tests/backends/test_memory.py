"""Freed memory stays with the process: the next arrays come without asking the system for pages."""

import subprocess
import sys
from pathlib import Path

import pytest

from minitvlt.backends import memory

pytestmark = pytest.mark.skipif(memory.find_library() is None, reason="not the GNU C library")

# Fill and free 40 arrays of 4 MiB, then tell how many pages the same takes the second time.
PROGRAM = """
import resource
import numpy as np
from minitvlt.backends.memory import keep_all_memory, keep_some_memory

def count_pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    arrays = [np.ones(1 << 20, np.float32) for _ in range(40)]
    del arrays
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

def count_resident_mebibytes():
    return int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() >> 20
"""


def run(program: str) -> list[int]:
    ran = subprocess.run(
        [sys.executable, "-c", PROGRAM + program], capture_output=True, text=True, check=True, timeout=60
    )
    return [int(word) for word in ran.stdout.split()]


def test_what_was_freed_is_used_again():
    (pages,) = run("keep_some_memory(); count_pages(); print(count_pages())")
    assert pages < 40


def test_else_the_system_is_asked_for_all_of_it():
    (pages,) = run("count_pages(); print(count_pages())")
    assert pages >= 40, "or this test says nothing about the one above"


def test_all_memory_is_kept_for_a_while_and_then_handed_back():
    pages, during, after = run(
        """
hoard = lambda: [np.ones(1 << 20, np.float32) for _ in range(300)]  # 1.2 GiB
with keep_all_memory():
    keep_some_memory()  # whoever asks for less in between changes nothing
    hoard()
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    hoard()
    print(resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before)
    print(count_resident_mebibytes())
print(count_resident_mebibytes())
"""
    )
    assert pages < 300
    assert during > 1200
    assert after < 600


def test_memory_goes_back_after_an_error_too():
    (after,) = run(
        """
try:
    with keep_all_memory():
        [np.ones(1 << 20, np.float32) for _ in range(300)]
        raise ArithmeticError
except ArithmeticError:
    print(count_resident_mebibytes())
"""
    )
    assert after < 600


LARGE_PAGES = Path("/sys/kernel/mm/transparent_hugepage/enabled")
needs_large_pages = pytest.mark.skipif(
    not LARGE_PAGES.exists() or "[never]" in LARGE_PAGES.read_text(), reason="this system has no large pages"
)

# Fill 100 MiB with arrays too small for NumPy to ask for large pages, and tell how much of it lies in such.
FILL = """
arrays = [np.ones(1 << 18, np.float32) for _ in range(100)]
lines = open("/proc/self/smaps_rollup").read().split("\\n")
print(next(int(line.split()[1]) >> 10 for line in lines if line.startswith("AnonHugePages")))
"""


@needs_large_pages
def test_small_arrays_lie_in_large_pages():
    (mebibytes,) = run("keep_some_memory()" + FILL)
    assert mebibytes >= 90


@needs_large_pages
def test_else_they_do_not_unless_the_system_gives_such_pages_to_all():
    (mebibytes,) = run(FILL)
    assert mebibytes < 50 or "[always]" in LARGE_PAGES.read_text()


def test_asking_for_large_pages_takes_no_memory():
    before, after = run(
        "print(count_resident_mebibytes()); keep_some_memory(); print(count_resident_mebibytes())"
    )
    assert after - before < 10
