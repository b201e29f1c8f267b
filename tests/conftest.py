"""Runs before everything else: threads, the watch over annotations and shape comments, Hypothesis."""

import os

# A worker of pytest-xdist owns one core. Workers and subprocesses read this when they import NumPy or torch.
for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "NUMEXPR_NUM_THREADS"):
    os.environ.setdefault(_name, "1")

import pytest  # noqa: E402
from hypothesis import HealthCheck, settings  # noqa: E402
from threadpoolctl import threadpool_limits  # noqa: E402

threadpool_limits(1, user_api="blas")  # a plugin may have imported NumPy before the variables were set

pytest.register_assert_rewrite("tests.helpers")
from tests.helpers.shape_plugin import ShapeCommentPlugin  # noqa: E402

# A loaded machine is slow: no deadlines. In CI every run draws the same examples.
settings.register_profile(
    "local", deadline=None, print_blob=True, max_examples=20, suppress_health_check=[HealthCheck.too_slow]
)
settings.register_profile("repeatable", settings.get_profile("local"), derandomize=True, database=None)
settings.register_profile("thorough", settings.get_profile("local"), max_examples=500)


def pytest_configure(config: pytest.Config) -> None:
    settings.load_profile(
        os.environ.get("HYPOTHESIS_PROFILE") or ("repeatable" if os.environ.get("CI") else "local")
    )
    config.pluginmanager.register(ShapeCommentPlugin(config), "shape-comments")
