"""Shape comments that lie, or that nothing reached, fail the session: with several workers or with one."""

from pathlib import Path
from typing import Any

import pytest

from tests.helpers.shape_comments import ROOT, Ledger, install, list_places

NARROWED_BY = ("keyword", "markexpr", "deselect", "ignore", "ignore_glob", "lf", "stepwise", "collectonly")


class ShapeCommentPlugin:
    """Watches the imports in every process; the process that writes the report gathers and judges."""

    def __init__(self, config: pytest.Config, package: Path = ROOT / "minitvlt") -> None:
        self.package, self.ledger = package, Ledger()
        self.deselected = 0
        self.missing: list[str] = []
        self.judged = False
        *packages, typechecker = config.getoption("jaxtyping_packages").split(",")
        install(packages, typechecker, self.ledger)

    def pytest_deselected(self, items: list[pytest.Item]) -> None:
        self.deselected += len(items)

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, node: Any) -> None:
        """Gather what a worker of pytest-xdist saw."""
        told = getattr(node, "workeroutput", {}).get("shape_comments", ([], [], 0))
        self.ledger.reached.update(told[0])
        self.ledger.lies.extend(told[1])
        self.deselected += told[2]

    def pytest_sessionfinish(self, session: pytest.Session, exitstatus: int) -> None:
        if hasattr(session.config, "workeroutput"):
            told = (sorted(self.ledger.reached), self.ledger.lies, self.deselected)
            session.config.workeroutput["shape_comments"] = told
            return
        if exitstatus == pytest.ExitCode.OK and self._ran_everything(session.config):
            self.judged = True
            self.missing = sorted(list_places(self.package) - self.ledger.reached)
        if (self.missing or self.ledger.lies) and exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def _ran_everything(self, config: pytest.Config) -> bool:
        given_no_path = config.args_source is pytest.Config.ArgsSource.TESTPATHS
        narrowed = any(getattr(config.option, name, None) for name in NARROWED_BY)
        return given_no_path and not narrowed and not self.deselected

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for lie in dict.fromkeys(self.ledger.lies):
            terminalreporter.write_line(f"SHAPE COMMENT LIES {lie}", red=True)
        for place in self.missing:
            terminalreporter.write_line(f"SHAPE COMMENT NEVER MET AN ARRAY {place}", red=True)
        scope = "of all" if self.judged else "(the rest is not judged: part of the suite ran, or it failed)"
        count = f" {len(list_places(self.package))}" if self.judged else ""
        terminalreporter.write_line(f"shape comments found true: {len(self.ledger.reached)} {scope}{count}")
