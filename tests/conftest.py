"""A test that cannot run has not passed: any skip makes the whole run fail."""

import pytest


def _not_run(terminal: pytest.TerminalReporter) -> list[str]:
    reports = [*terminal.stats.get("skipped", []), *terminal.stats.get("xfailed", [])]
    return [report.nodeid for report in reports]


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    terminal = session.config.pluginmanager.get_plugin("terminalreporter")
    if terminal and exitstatus == pytest.ExitCode.OK and _not_run(terminal):
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for nodeid in _not_run(terminalreporter):
        terminalreporter.write_line(f"ERROR: a test that cannot run counts as failed: {nodeid}", red=True)
