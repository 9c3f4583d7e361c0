"""What every test may rely on: one thread, no network, and a Chromium found by path.

Only the standard library and pytest are imported here, so that collecting the tests loads no torch.
"""

from __future__ import annotations

import ipaddress
import os
import shutil
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

# Set before numpy or torch is imported: on a busy machine OpenMP barriers make small models 3-4x slower.
for _variable in ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"):
    os.environ[_variable] = "1"
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["HF_HUB_DISABLE_TELEMETRY"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"

# The same list as scripts/setup_browser.sh.
CHROMES = (
    "chromium",
    "chromium-browser",
    "google-chrome",
    "google-chrome-stable",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
)

# Chromium will not start as root with a sandbox. The resolver rule keeps the browser itself off the network.
CHROMIUM_FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--disable-dev-shm-usage",
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
)


class OutsideConnectionError(ConnectionRefusedError):
    """A test tried to leave this machine."""


_outside: list[str] = []


def _is_loopback(host: Any) -> bool:
    if host in (None, "", b"", "localhost", b"localhost"):
        return True
    try:
        text = host.decode() if isinstance(host, bytes) else str(host)
        return ipaddress.ip_address(text.partition("%")[0]).is_loopback
    except ValueError:
        return False


def _refuse(what: object) -> OutsideConnectionError:
    _outside.append(str(what))
    return OutsideConnectionError(f"tests may connect to this machine only, not to {what}")


def _guard_sockets() -> None:
    connect, connect_ex, resolve = socket.socket.connect, socket.socket.connect_ex, socket.getaddrinfo

    def leaves(sock: socket.socket, address: Any) -> bool:
        return sock.family in (socket.AF_INET, socket.AF_INET6) and not _is_loopback(address[0])

    def guarded_connect(self: socket.socket, address: Any) -> None:
        if leaves(self, address):
            raise _refuse(address)
        return connect(self, address)

    def guarded_connect_ex(self: socket.socket, address: Any) -> int:
        if leaves(self, address):
            raise _refuse(address)
        return connect_ex(self, address)

    def guarded_getaddrinfo(host: Any, *args: Any, **kwargs: Any) -> Any:
        try:
            numeric = host is None or bool(ipaddress.ip_address(host if isinstance(host, str) else host.decode()))
        except ValueError:
            numeric = False
        if not numeric and not _is_loopback(host) and host != socket.gethostname():
            raise _refuse(host)
        return resolve(host, *args, **kwargs)

    socket.socket.connect = guarded_connect  # type: ignore[method-assign]
    socket.socket.connect_ex = guarded_connect_ex  # type: ignore[method-assign]
    socket.getaddrinfo = guarded_getaddrinfo


_guard_sockets()


@pytest.fixture(autouse=True)
def outside_connections() -> Iterator[list[str]]:
    """The addresses outside this machine that the test tried to reach. It fails when any is left at its end.

    A library may swallow the refusal, so the exception alone is not enough.
    """
    _outside.clear()
    yield _outside
    if _outside:
        pytest.fail(f"the test tried to leave this machine: {', '.join(_outside)}")


@pytest.fixture(scope="session")
def chromium_path() -> str:
    """The Chrome or Chromium that browser tests drive; a missing one is a failure, not a skip."""
    wanted = os.environ.get("CHROME")
    found = [path for name in ([wanted] if wanted else CHROMES) if (path := shutil.which(name))]
    if found:
        return found[0]
    looked_for = f"CHROME={wanted}" if wanted else ", ".join(CHROMES)
    pytest.fail(
        f"No Chrome or Chromium was found; looked for {looked_for}. Install one (Debian: apt-get install"
        " chromium fonts-noto-cjk fonts-noto-color-emoji) or set CHROME to its path."
    )


@pytest.fixture(scope="session")
def browser_type_launch_args(browser_type_launch_args: dict[str, Any], chromium_path: str) -> dict[str, Any]:
    """pytest-playwright drives the installed Chromium: nothing is downloaded."""
    return {**browser_type_launch_args, "executable_path": chromium_path, "args": list(CHROMIUM_FLAGS)}


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return Path(__file__).resolve().parent.parent


def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """A run in which every test was skipped has tested nothing, and fails like a run without tests."""
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is None or session.config.option.collectonly or exitstatus != pytest.ExitCode.OK:
        return
    if not any(reporter.stats.get(outcome) for outcome in ("passed", "failed", "error", "xfailed", "xpassed")):
        session.exitstatus = pytest.ExitCode.NO_TESTS_COLLECTED
