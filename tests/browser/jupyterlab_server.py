"""A real JupyterLab or Notebook server in a scratch folder, and the few commands that a test gives it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
from playwright.sync_api import Page

TOKEN = "neurowidget-test"
IDLE = "() => document.body.innerText.includes('(ipykernel) | Idle')"
CONFIG = {
    "LabApp": {
        "news_url": None,
        "check_for_updates_class": "jupyterlab.NeverCheckForUpdate",
        "extension_manager": "readonly",
    }
}
SETTINGS = {
    "@jupyterlab/apputils-extension:notification": {
        "fetchNews": "false",
        "checkForUpdates": False,
        "doNotDisturbMode": True,
    },
    "@jupyterlab/notebook-extension:tracker": {"autoStartDefaultKernel": True},
}


def notebook(path: Path, cells: list[str]) -> Path:
    """Write a notebook of code cells that asks for the python3 kernel."""
    made = nbformat.v4.new_notebook(
        metadata={"kernelspec": {"name": "python3", "display_name": "Python 3 (ipykernel)", "language": "python"}}
    )
    made.cells = [nbformat.v4.new_code_cell(cell) for cell in cells]
    nbformat.write(made, path)
    return path


@contextlib.contextmanager
def lab(home: Path, notebooks: Path, *, save_state: bool = False) -> Iterator[str]:
    """Start JupyterLab and yield its address; it is interrupted twice at the end, as a person would."""
    config = home / "config"
    (config / "labconfig").mkdir(parents=True, exist_ok=True)
    settings = SETTINGS | {"@jupyter-widgets/jupyterlab-manager:plugin": {"saveState": save_state}}
    (config / "jupyter_lab_config.json").write_text(json.dumps(CONFIG))
    (config / "labconfig" / "default_setting_overrides.json").write_text(json.dumps(settings))
    port = _free_port()
    environment = os.environ | {
        "JUPYTER_CONFIG_DIR": str(config),
        "JUPYTER_DATA_DIR": str(home / "data"),
        "JUPYTER_RUNTIME_DIR": str(home / "run"),
        "IPYTHONDIR": str(home / "ipython"),
        "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), os.environ.get("PYTHONPATH", "")]),
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ip=127.0.0.1", f"--port={port}"]
    command += ["--ServerApp.port_retries=0", f"--IdentityProvider.token={TOKEN}", f"--ServerApp.root_dir={notebooks}"]
    command += ["--ServerApp.terminals_enabled=False", "--LabApp.expose_app_in_browser=True"]
    with (home / "server.log").open("w") as log:
        server = subprocess.Popen(command, stdout=log, stderr=log, env=environment, start_new_session=True)
        try:
            address = f"http://127.0.0.1:{port}"
            _wait_for(address, server, home / "server.log")
            yield address
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(server.pid, signal.SIGTERM)
            try:
                server.wait(15)
            except subprocess.TimeoutExpired:
                os.killpg(server.pid, signal.SIGKILL)


def open_notebook(page: Page, address: str, name: str) -> None:
    """Open a notebook in a clean workspace and wait until its kernel is idle (a run before that is lost)."""
    page.goto(f"{address}/lab/tree/{name}?token={TOKEN}&reset")
    page.wait_for_function(IDLE, timeout=90_000)


def command(page: Page, name: str, args: dict[str, Any] | None = None) -> None:
    """Run a JupyterLab command and wait at most 30 s for its promise."""
    page.evaluate(
        """([name, args]) => Promise.race([
             window.jupyterapp.commands.execute(name, args ?? {}).then(() => true),
             new Promise((resolve) => setTimeout(() => resolve(false), 30000)),
           ])""",
        [name, args],
    )


def run_code(page: Page, code: str, timeout: float = 60) -> str:
    """Run code in the kernel of the open notebook, outside of any cell, and return what it printed."""
    return page.evaluate(
        """async ([code, timeout]) => {
             const panel = window.jupyterapp.shell.currentWidget;
             const kernel = panel.context.sessionContext.session.kernel;
             const future = kernel.requestExecute({ code, store_history: false, silent: false });
             let text = '';
             future.onIOPub = (message) => {
               if (message.header.msg_type === 'stream') text += message.content.text;
               if (message.header.msg_type === 'error') text += message.content.ename + ': ' + message.content.evalue;
             };
             const late = new Promise((_, reject) => setTimeout(() => reject(new Error('kernel time-out')), timeout * 1000));
             await Promise.race([future.done, late]);
             return text;
           }""",
        [code, timeout],
    )


def _wait_for(address: str, server: subprocess.Popen[bytes], log: Path) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"JupyterLab ended with {server.returncode}:\n{log.read_text()[-3000:]}")
        try:
            urllib.request.urlopen(f"{address}/api?token={TOKEN}", timeout=1).read()
            return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError(f"JupyterLab did not answer:\n{log.read_text()[-3000:]}")


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
