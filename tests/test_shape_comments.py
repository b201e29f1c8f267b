"""The checker of shape comments, on planted modules: what is true passes, and no lie does."""

import ast
import importlib
import itertools
import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import numpy as np
import pytest
from jaxtyping import TypeCheckError

from tests.helpers.oracles import patchify_video_by_loops
from tests.helpers.shape_comments import ROOT, Ledger, ShapeCommentError, install, list_places

PATCHIFY = """
    import numpy as xp

    def patchify_video(video, patch):
        B, T, C, H, W = video.shape
        p, q = patch
        h, w = H // p, W // q                                   # rows and columns of patches
        x = xp.reshape(video, (B, T, C, h, p, w, q))
        x = xp.permute_dims(x, (0, 1, 3, 5, 4, 6, 2))           # (B, T, h, w, p, q, C)
        return xp.reshape(x, (B, T * h * w, p * q * C))         # (B, T*h*w, p*q*C)
"""


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def plant(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ModuleType]]:
    """Return a function that writes a module and imports it under the eyes of the checker."""
    monkeypatch.syspath_prepend(tmp_path)
    finder = install(["planted"], "beartype.beartype", ledger)

    def write_and_import(source: str) -> ModuleType:
        (tmp_path / "planted.py").write_text(textwrap.dedent(source))
        sys.modules.pop("planted", None)
        importlib.invalidate_caches()
        return importlib.import_module("planted")

    yield write_and_import
    sys.meta_path.remove(finder)
    sys.modules.pop("planted", None)


@pytest.fixture
def video() -> np.ndarray:
    return np.arange(2 * 3 * 5 * 4 * 6.0).reshape(2, 3, 5, 4, 6)


def test_true_comments_are_found_true(plant, ledger, video, tmp_path):
    planted = plant(PATCHIFY)
    np.testing.assert_array_equal(
        planted.patchify_video(video, (2, 3)), patchify_video_by_loops(video, (2, 3))
    )
    assert ledger.reached == list_places(tmp_path) and len(ledger.reached) == 2 and not ledger.lies


def test_a_planted_wrong_comment_is_caught(plant, ledger, video):
    planted = plant(PATCHIFY.replace("# (B, T, h, w, p, q, C)", "# (B, T, w, h, p, q, C)"))
    with pytest.raises(ShapeCommentError, match=r"planted\.py:9 # \(B, T, w, h") as caught:
        planted.patchify_video(np.zeros((2, 3, 5, 4, 9)), (2, 3))
    assert "(2, 3, 3, 2, 2, 3, 5), the array is (2, 3, 2, 3, 2, 3, 5)" in str(caught.value)
    assert ledger.lies == [str(caught.value)]


@pytest.fixture(params=["patchify_video", "unpatchify_video"])
def wrong_permutations(request) -> tuple[str, str, list[str]]:
    """A function of the package's own patches.py, the source, and the source with each two axes exchanged."""
    source = (ROOT / "minitvlt/model/patches.py").read_text("utf-8")
    begin = source.index("permute_dims", source.index(f"def {request.param}("))
    right = re.search(r"\([\d, ]+\)", source[begin:]).group()
    wrong = []
    for i, j in itertools.combinations(range(right.count(",") + 1), 2):
        axes = list(ast.literal_eval(right))
        axes[i], axes[j] = axes[j], axes[i]
        wrong.append(source[:begin] + source[begin:].replace(right, str(tuple(axes)), 1))
    assert len(wrong) == 21
    return request.param, source, wrong


def call_beside_its_oracle(
    module: ModuleType, name: str, sizes: tuple[int, ...]
) -> tuple[np.ndarray, np.ndarray]:
    """Call one of the functions on a video of B, T, C, h, w, p, q; return its result and the right one."""
    B, T, C, h, w, p, q = sizes
    shape = (B, T, C, h * p, w * q)
    video = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    tokens = patchify_video_by_loops(video, (p, q))
    if name.startswith("un"):
        return getattr(module, name)(tokens, (p, q), (T, h * p, w * q)), video
    return getattr(module, name)(video, (p, q)), tokens


def test_a_planted_wrong_permutation_of_unequal_sizes_makes_the_comment_a_lie(plant, wrong_permutations):
    name, right, wrong = wrong_permutations
    np.testing.assert_array_equal(*call_beside_its_oracle(plant(right), name, (1, 2, 3, 4, 5, 6, 7)))
    for source in wrong:
        with pytest.raises(ShapeCommentError):
            call_beside_its_oracle(plant(source), name, (1, 2, 3, 4, 5, 6, 7))


def test_a_planted_wrong_permutation_of_equal_sizes_is_seen_by_the_nested_loops(plant, wrong_permutations):
    name, right, wrong = wrong_permutations
    np.testing.assert_array_equal(*call_beside_its_oracle(plant(right), name, (2,) * 7))
    for source in wrong:
        result, expected = call_beside_its_oracle(plant(source), name, (2,) * 7)
        assert result.shape == expected.shape
        assert not np.array_equal(result, expected)


@pytest.mark.parametrize(
    "line",
    [
        "x = x + 1  # (N, D)",
        "x += 1  # (N, D)",
        "x: object = x  # (N, D)",
        "x = (x +\n         1)  # (N, D)",
        "x[:, 0] = 1  # (N,)",
        "y, z = x, 2 * x  # (N, D)",
        "y, z = (v * x for v in (1, 2))  # (N, D)",
        "y = [x, x]  # (N, D)",
        "y = x[0, 0]  # ()",
        "y = x[:, None]  # (*batch, 1, D)",
        "y = x.mean(0)  # (x.shape[1],)",
        "y = x.reshape(-1)  #(N*D,)",
        "y = (lambda: x)()  # (N, D)",
        "y = x; return y  # (N, D)",
    ],
)
def test_where_a_comment_may_stand(plant, ledger, line):
    text = f"def f(x):\n    N, D = x.shape\n    batch = (N,)\n    {line}\n    return x\n"
    planted = plant(text)
    planted.f(np.zeros((3, 5)))
    assert len(ledger.reached) == 1 and not ledger.lies
    with pytest.raises(ShapeCommentError, match="says"):
        plant(re.sub(r"# ?\(", "# (2, ", text)).f(np.zeros((3, 5)))


def test_a_function_within_a_function_sees_the_names_outside(plant, ledger):
    plant("def f(x):\n    N = len(x)\n    def g():\n        return x  # (N,)\n    return g()\n").f(
        np.zeros(3)
    )
    assert len(ledger.reached) == 1


def test_a_name_that_does_not_exist_is_a_lie(plant, ledger):
    planted = plant("def f(x):\n    y = 2 * x  # (n,)\n    return y\n")
    with pytest.raises(ShapeCommentError, match="cannot be evaluated here: NameError: name 'n'"):
        planted.f(np.zeros(3))
    assert len(ledger.lies) == 1


def test_a_lie_is_remembered_though_the_package_swallows_it(plant, ledger):
    text = "def f(x):\n    try:\n        y = x  # (2,)\n    except Exception:\n        y = 0\n    return y\n"
    assert plant(text).f(np.zeros(3)) == 0
    assert len(ledger.lies) == 1


def test_a_value_without_a_shape_is_not_counted_as_reached(plant, ledger):
    planted = plant("def f(x):\n    y = x  # (3,)\n    return y\n")
    planted.f(None)
    assert not ledger.reached
    planted.f(np.zeros(3))
    assert len(ledger.reached) == 1


@pytest.mark.parametrize(
    "line",
    [
        "y = x  # (N)",
        "y = x  # (N, ...)",
        "y = x  # (N, D",
        "y = x  # (N, D) rows of patches",
        "y = x  # ('N', 'D')",
        "y = x  # (see the paper)",
        "y = x  #(N D)",
        "y = f(x,  # (N, D)\n          2)",
        "print(x)  # (N, D)",
        "for y in x:  # (N, D)\n        pass",
        "# (N, D)\n    y = x",
        "y: int  # (N, D)",
    ],
)
def test_a_slip_of_the_pen_switches_nothing_off(plant, line):
    with pytest.raises(SyntaxError, match=r"a shape comment|a tuple of integers") as caught:
        plant(f"def f(x):\n    {line}\n")
    assert caught.value.filename.endswith("planted.py") and caught.value.lineno in (2, 3)


@pytest.mark.parametrize(
    "text", ["x = 1  # rows (and columns)", "# (as He et al. say)\nx = 1", "x = '# (N)'"]
)
def test_prose_is_left_alone(plant, ledger, text):
    plant(text)
    assert not ledger.reached and not ledger.lies


def test_tracebacks_keep_their_lines_and_annotations_stay_checked(plant):
    text = """
    import numpy as np
    from jaxtyping import Float

    def f(x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "D"]:
        N, D = x.shape
        y = x + 1       # (N, D)
        y = (y *
             2)         # (N, D)
        assert not y[0, 0], "here"
        return y        # (N, D)
    """
    planted = plant(text)
    with pytest.raises(AssertionError, match="here") as caught:
        planted.f(np.zeros((2, 3)))
    assert [entry.lineno + 1 for entry in caught.traceback if entry.path.name == "planted.py"] == [10]
    with pytest.raises(TypeCheckError):
        planted.f(np.zeros(3))
    with pytest.raises(TypeCheckError):
        planted.f(np.full((2, 3), -1.0))


def test_the_package_is_under_watch_in_this_very_process():
    importlib.import_module("minitvlt.model.patches")
    loaders = {name: module.__loader__ for name, module in sys.modules.items() if name.startswith("minitvlt")}
    assert {type(loader).__name__ for loader in loaders.values()} == {"ShapeCommentLoader"}, loaders


SESSION = {
    "conftest.py": """
        from pathlib import Path
        from tests.helpers.shape_plugin import ShapeCommentPlugin

        def pytest_configure(config):
            package = Path(__file__).parent / "sown"
            config.pluginmanager.register(ShapeCommentPlugin(config, package))
    """,
    "pytest.ini": """
        [pytest]
        testpaths = checks
        addopts =
            -p xdist -p jaxtyping._pytest_plugin -p no:cacheprovider
            --jaxtyping-packages=sown,beartype.beartype
    """,
    "sown/__init__.py": """
        def double(x):
            (N,) = x.shape
            y = x + x  # (N,)
            return y

        def halve(x):
            y = x / 2  # (3,)
            return y
    """,
    "sown/never_imported.py": "def f(x, N):\n    return x  # (N,)\n",
    "checks/test_sown.py": """
        import numpy as np
        import pytest
        import sown

        def test_double():
            sown.double(np.zeros(2))

        @pytest.mark.parametrize("size", [3])
        def test_halve(size):
            sown.halve(np.zeros(size))
    """,
}


def run_session(folder: Path, *arguments: str, **files: str) -> tuple[int, str]:
    """Run pytest on a planted package in a process of its own, with the plugins that matter here."""
    for name, text in (SESSION | files).items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *arguments],
        cwd=folder,
        env=inherited | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
        capture_output=True,
        text=True,
    )
    return done.returncode, done.stdout + done.stderr


@pytest.mark.parametrize("workers", ["0", "2"])
def test_a_comment_that_nothing_reaches_fails_the_whole_suite(tmp_path, workers):
    status, output = run_session(tmp_path, "-n", workers)
    assert status == 1 and "2 passed" in output
    assert output.count("NEVER MET AN ARRAY") == 1 and "never_imported.py:2 # (N,)" in output
    assert "found true: 2 of all 3" in output


def test_part_of_the_suite_is_not_judged(tmp_path):
    status, output = run_session(tmp_path, "-n", "0", "-k", "double")
    assert status == 0, output
    assert "not judged" in output
    assert "NEVER MET" not in output


def test_a_suite_that_reaches_everything_passes(tmp_path):
    status, output = run_session(tmp_path, "-n", "0", **{"sown/never_imported.py": ""})
    assert status == 0, output
    assert "found true: 2 of all 2" in output


def test_a_lie_fails_its_test_and_one_that_the_package_swallows_fails_the_session(tmp_path):
    quiet = """
        def double(x):
            (N,) = x.shape
            try:
                y = x + x  # (N, N)
            except AssertionError:
                y = x
            return y
    """
    open_lie = "\ndef halve(x):\n    y = x / 2  # (5,)\n    return y\n"
    sown = {"sown/__init__.py": textwrap.dedent(quiet) + open_lie}
    status, output = run_session(tmp_path, "-n", "0", **sown)
    assert status == 1
    assert "1 failed, 1 passed" in output
    lies = [line for line in output.splitlines() if line.startswith("SHAPE COMMENT LIES")]
    assert len(lies) == 2
    assert lies[1].endswith("__init__.py:11 # (5,): the comment says (5,), the array is (3,)")
    status, output = run_session(tmp_path, "-n", "0", "-k", "double", **sown)
    assert (status, output.count("1 passed")) == (1, 1)
