"""One JupyterLab for the tests of this folder, and pages that can reach only this machine."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import jupyterlab_server as jupyter
import pytest
from chromium import Watched, chromium


@pytest.fixture(scope="session")
def open_page(playwright: Any, browser_type_launch_args: dict[str, Any]) -> Callable[..., Any]:
    """`with open_page(width=..., dark=...) as watched:` opens a page in a fresh profile."""

    def opened(**options: Any) -> contextlib.AbstractContextManager[Watched]:
        return chromium(playwright, browser_type_launch_args, **options)

    return opened


@pytest.fixture(scope="session")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, Path]]:
    """The address of a running JupyterLab and the folder of its notebooks."""
    home = tmp_path_factory.mktemp("lab")
    notebooks = home / "notebooks"
    notebooks.mkdir()
    with jupyter.lab(home, notebooks) as address:
        yield address, notebooks
