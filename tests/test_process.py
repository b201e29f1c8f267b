"""As a library, the package leaves the user's process as it was."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.helpers.shape_comments import ROOT

SNAPSHOT = """
import gc, locale, os, random, signal, sys, threading, warnings
from pathlib import Path
import numpy as np, scipy.special, torch
from threadpoolctl import threadpool_info

def snapshot():
    signals = {number: signal.getsignal(number) for number in signal.valid_signals()}
    threads = sorted((x["filepath"], x["num_threads"]) for x in threadpool_info())
    flags = [torch.get_float32_matmul_precision(), torch.are_deterministic_algorithms_enabled()]
    flags += [torch.is_grad_enabled(), torch.get_num_threads(), torch.get_num_interop_threads()]
    flags += [torch.get_default_dtype(), torch.backends.cudnn.benchmark, torch.is_autocast_enabled("cpu")]
    randomness = [str(np.random.get_state()), str(random.getstate()), str(torch.get_rng_state().tolist())]
    others = [dict(os.environ), list(warnings.filters), warnings.showwarning, locale.setlocale(locale.LC_ALL)]
    others += [os.getcwd(), sys.path[:], os.umask(os.umask(0o22)), sys.getrecursionlimit(), sys.excepthook]
    others += [np.geterr(), np.get_printoptions(), gc.isenabled(), gc.get_threshold(), sys.stdout, sys.stderr]
    others += ["matplotlib.pyplot" in sys.modules, signal.getitimer(signal.ITIMER_REAL), sys.getprofile()]
    return dict(signals=signals, threads=threads, flags=flags, randomness=randomness, others=others)

x = torch.ones(1, requires_grad=True)
x.sum().backward()
torch.optim.AdamW([x], fused=True).step()  # torch imports parts of itself that set a variable and a filter
signal.signal(signal.SIGINT, signal.default_int_handler)
before = snapshot()

def check(what):
    for name, value in snapshot().items():
        assert value == before[name], (what, name, before[name], value)

import minitvlt as mt
check("import")
folder, config = Path(sys.argv[1]), mt.Config.tiny(num_hidden_layers=1, decoder_num_hidden_layers=1)
params, world, recipe = mt.init(config), mt.ShapesWorld(config), mt.Recipe(steps=2, batch_size=4)
clips = world.sample(np.random.default_rng(0), 4)
batch = mt.make_batch(clips, config, np.random.default_rng(1))
mt.forward(params, clips.video, clips.audio)
check("forward")
mt.value_and_grad(lambda p, b: mt.pretraining_loss(p, b).loss)(params, batch)
check("gradient")
from minitvlt.backends.fast.numpy import gelu, linear
large = np.ones((1200, 512), np.float32)
gelu(np.ones(1 << 20, np.float32)), linear(large, large)  # threads share these
check("a large operation")
mt.train(params, world, recipe, folder / "numpy", show_progress=False)
check("training")
on_torch = mt.to_backend(params, "torch")
mt.train(on_torch, world, recipe, folder / "torch", show_progress=False)
check("training on torch")
task = mt.Task("classification", "shape", ("circle", "square", "triangle", "cross"))
tuned = mt.finetune(params, world, task, folder / "tuned", recipe, show_progress=False)
check("fine-tuning")
mt.evaluate(params, world, clips=16), mt.evaluate(tuned, world, task, clips=4)
check("evaluation")

class FailingWorld:
    def sample(self, rng, count):
        raise ArithmeticError

try:
    mt.train(params, FailingWorld(), recipe, folder / "failing", show_progress=False)
except ArithmeticError:
    check("an error")
thread = threading.Thread(target=mt.train, args=(params, world, recipe, folder / "thread", False))
thread.start()
thread.join()
check("a thread of the user")
"""


def run(script: str, *words: object) -> None:
    """Run a script in a fresh process, with products on two threads."""
    environment = {**os.environ, "OMP_NUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "2"}
    command = [sys.executable, "-c", script, *map(str, words)]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_nothing_of_the_process_is_changed(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    run(SNAPSHOT, tmp_path)


REPEATED = """
import gc, os, sys, threading
import numpy as np, minitvlt as mt

def measure():
    resident = int(open("/proc/self/statm").read().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 2**20
    return threading.active_count(), len(os.listdir("/proc/self/fd")), resident

gc.disable()
config, half = mt.Config.tiny(), int(sys.argv[1]) // 2
params, world = mt.init(config), mt.ShapesWorld(config)
clips = world.sample(np.random.default_rng(0), 2)
batch = mt.make_batch(clips, config, np.random.default_rng(1))
differentiate = mt.value_and_grad(lambda p, b: mt.pretraining_loss(p, b).loss)
for work in (lambda: mt.forward(params, clips.video, clips.audio), lambda: differentiate(params, batch)):
    found = []
    for _ in range(2):
        for _ in range(half):
            work()
        found.append(measure())
    (*before, resident), (*after, resident_after) = found
    print(before, after, resident, resident_after)
    assert before == after and resident_after < resident + 20
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_calls_leave_neither_threads_nor_descriptors_nor_memory_behind() -> None:
    run(REPEATED, 60)
