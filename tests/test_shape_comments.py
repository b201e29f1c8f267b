"""The checker of shape comments, on planted modules: what is true passes, and no lie does."""

import ast
import importlib
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


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


@pytest.fixture
def plant(
    tmp_path: Path, ledger: Ledger, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., ModuleType]]:
    """Return a function that writes a module and imports it, watched by the checker."""
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


# ---- on the package's own patches.py

PATCHES = (ROOT / "minitvlt/model/patches.py").read_text("utf-8")


def exchange_axes(name: str) -> list[str]:
    """The source, in which two neighbouring axes of the permutation in a function are exchanged."""
    begin = PATCHES.index("permute_dims", PATCHES.index(f"def {name}("))
    right, wrong = re.search(r"\([\d, ]+\)", PATCHES[begin:]).group(), []
    for i in range(6):
        axes = list(ast.literal_eval(right))
        axes[i], axes[i + 1] = axes[i + 1], axes[i]
        wrong.append(PATCHES[:begin] + PATCHES[begin:].replace(right, str(tuple(axes)), 1))
    return wrong


def call_beside_its_oracle(module: ModuleType, name: str, *sizes: int) -> tuple[np.ndarray, np.ndarray]:
    """Call one of the functions on a video of B, T, C, h, w, p, q; return its result and the right one."""
    B, T, C, h, w, p, q = sizes
    shape = (B, T, C, h * p, w * q)
    video = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    tokens = patchify_video_by_loops(video, (p, q))
    if name.startswith("un"):
        return getattr(module, name)(tokens, (p, q), (T, h * p, w * q)), video
    return getattr(module, name)(video, (p, q)), tokens


@pytest.mark.parametrize("name", ["patchify_video", "unpatchify_video"])
def test_a_wrong_permutation_is_found_by_its_comment_and_with_equal_sizes_by_nested_loops(plant, name):
    np.testing.assert_array_equal(*call_beside_its_oracle(plant(PATCHES), name, 1, 2, 3, 4, 5, 6, 7))
    for source in exchange_axes(name):
        planted = plant(source)
        with pytest.raises(ShapeCommentError):
            call_beside_its_oracle(planted, name, 1, 2, 3, 4, 5, 6, 7)
        result, expected = call_beside_its_oracle(planted, name, 2, 2, 2, 2, 2, 2, 2)
        assert result.shape == expected.shape and not np.array_equal(result, expected)


def test_a_wrong_comment_is_found_and_says_what_the_array_is(plant, ledger):
    planted = plant(PATCHES.replace("# (B, T, h, w, p, q, C)", "# (B, T, w, h, p, q, C)", 1))
    message = r"planted\.py:\d+ # \(B, T, w, h.* says \(1, 2, 5, 4.* the array is \(1, 2, 4, 5"
    with pytest.raises(ShapeCommentError, match=message) as caught:
        call_beside_its_oracle(planted, "patchify_video", 1, 2, 3, 4, 5, 6, 7)
    assert ledger.lies == [str(caught.value)]


# ---- the grammar

RIGHT = [
    "x += 1  # (N, D)",
    "x = (x +\n         1)  # (N, D)",
    "x[:, 0] = 1  # (N,)",
    "y, z = (v * x for v in (1, 2))  # (N, D)",
    "y = x[0, 0]  # ()",
    "y = x[:, None]  # (*batch, 1, D)",
    "y = x.mean(0)  # (x.shape[1],)",
    "y = x; return y  # (N, D)",
]


@pytest.mark.parametrize("line", RIGHT)
def test_where_a_comment_may_stand(plant, ledger, tmp_path, line):
    text = f"def f(x):\n    N, D = x.shape\n    batch = (N,)\n    {line}\n    return x\n"
    plant(text).f(np.zeros((3, 5)))
    assert ledger.reached == list_places(tmp_path) and len(ledger.reached) == 1 and not ledger.lies
    with pytest.raises(ShapeCommentError, match="says"):
        plant(re.sub(r"# ?\(", "# (2, ", text)).f(np.zeros((3, 5)))


WRONG = [
    "y = x  # (N)",
    "y = x  # (N, D",
    "y = x  # (N, D) rows of patches",
    "y = f(x,  # (N, D)\n          2)",
    "print(x)  # (N, D)",
    "# (N, D)\n    y = x",
    "y: int  # (N, D)",
]


@pytest.mark.parametrize("line", WRONG)
def test_a_slip_of_the_pen_switches_nothing_off(plant, line):
    with pytest.raises(SyntaxError, match=r"a shape comment|a tuple of integers") as caught:
        plant(f"def f(x):\n    {line}\n")
    assert caught.value.filename.endswith("planted.py") and caught.value.lineno in (2, 3)


def test_prose_is_left_alone(plant, ledger):
    plant("x = 1  # rows (and columns)\n# (as He et al. say)\nx = '# (N)'")
    assert not ledger.reached and not ledger.lies


def test_names_that_do_not_exist_and_lies_that_the_package_swallows_are_kept(plant, ledger):
    text = "def f(x):\n    try:\n        y = x  # (n,)\n    except Exception:\n        y = 0\n    return y\n"
    assert plant(text).f(np.zeros(3)) == 0
    assert "cannot be evaluated here: NameError: name 'n'" in ledger.lies[0]


def test_a_value_without_a_shape_is_not_counted_as_reached(plant, ledger):
    plant("def f(x):\n    y = x  # (3,)\n    return y\n").f(None)
    assert not ledger.reached


def test_tracebacks_keep_their_lines_and_annotations_stay_checked(plant):
    text = """
    import numpy as np
    from jaxtyping import Float
    def f(x: Float[np.ndarray, "N D"]) -> Float[np.ndarray, "D"]:
        N, D = x.shape
        y = (x *
             2)         # (N, D)
        assert not y[0, 0], "here"
        return y        # (N, D)
    """
    planted = plant(text)
    with pytest.raises(AssertionError, match="here") as caught:
        planted.f(np.ones((2, 3)))
    assert [entry.lineno + 1 for entry in caught.traceback if entry.path.name == "planted.py"] == [8]
    for wrong in (np.zeros(3), np.zeros((2, 3))):  # an argument, and the result
        with pytest.raises(TypeCheckError):
            planted.f(wrong)


def test_the_package_is_watched_in_this_very_process():
    importlib.import_module("minitvlt.model.patches")
    loaders = {name: module.__loader__ for name, module in sys.modules.items() if name.startswith("minitvlt")}
    assert {type(loader).__name__ for loader in loaders.values()} == {"ShapeCommentLoader"}, loaders


# ---- the plugin

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
            try:
                y = x + x  # (N,)
            except AssertionError:
                y = x
            return y
        def halve(x):
            y = x / 2  # (3,)
            return y
    """,
    "sown/never_imported.py": "def f(x, N):\n    return x  # (N,)\n",
    "checks/test_sown.py": """
        import numpy as np
        import sown
        def test_double():
            sown.double(np.zeros(2))
        def test_halve():
            sown.halve(np.zeros(3))
    """,
}


def run_session(folder: Path, *arguments: str, old: str = "", new: str = "") -> tuple[int, str]:
    """Run pytest on a planted package in a process of its own, with the plugins that matter here."""
    for name, text in SESSION.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(textwrap.dedent(text).replace(old, new))
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST", "COV"))}
    env = inherited | {"PYTHONPATH": str(ROOT), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    command = [sys.executable, "-m", "pytest", *arguments]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)
    return done.returncode, done.stdout + done.stderr


def test_a_comment_that_nothing_reaches_fails_the_whole_suite(tmp_path):
    status, output = run_session(tmp_path, "-n", "2")
    assert status == 1 and "2 passed" in output
    assert output.count("NEVER MET AN ARRAY") == 1 and "never_imported.py:2 # (N,)" in output
    assert "found true: 2 of all 3" in output


def test_a_lie_that_the_package_swallows_fails_the_session_and_part_of_the_suite_is_not_judged(tmp_path):
    status, output = run_session(tmp_path, "-n", "0", "-k", "double", old="x + x  # (N,)", new="x  # (N, N)")
    assert status == 1 and "1 passed" in output and "not judged" in output and "NEVER MET" not in output
    (lie,) = [line for line in output.splitlines() if line.startswith("SHAPE COMMENT LIES")]
    assert lie.endswith("__init__.py:5 # (N, N): the comment says (2, 2), the array is (2,)")


def test_a_suite_that_reaches_everything_passes(tmp_path):
    status, output = run_session(tmp_path, "-n", "0", old="return x  # (N,)", new="return x")
    assert status == 0, output
    assert "found true: 2 of all 2" in output
