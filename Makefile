# GNU make 3.81 or newer and a POSIX shell; `make help` lists the commands.
#   PYTHON       the Python that makes .venv (3.11 or newer)
#   TORCH_INDEX  a pip index that torch alone is taken from, such as https://download.pytorch.org/whl/cpu
#   CHROME       the browser of the tests
#   PYTEST_ARGS  handed to pytest
PYTHON ?= python3
TORCH_INDEX ?=
PYTEST_ARGS ?=
export PYTHON TORCH_INDEX

BIN := .venv/bin
STAMPS := .venv/stamps
PYTHON_SETUP := pyproject.toml constraints.txt scripts/setup_python.sh

.PHONY: help demo test lab check build clean need-node browser
.NOTPARALLEL:

help: ## this list
	@sed -n 's/^\([a-z]*\):.*## /make \1|/p' Makefile | awk -F'|' '{ printf "%-12s %s\n", $$1, $$2 }'

demo: $(STAMPS)/demo ## make .venv, run the demo on real models, print the path of its page (no Node, no browser)
	$(BIN)/neurowidget demo --out demo.html

test: need-node $(STAMPS)/dev browser node_modules/.package-lock.json ## every test: JavaScript, then Python and the browser
	npm run check
	$(BIN)/python -m pytest $(PYTEST_ARGS)

lab: $(STAMPS)/lab ## JupyterLab on notebooks/
	@mkdir -p notebooks
	$(BIN)/python -m jupyterlab --ServerApp.root_dir=notebooks $$(test "$$(id -u)" != 0 || echo --allow-root)

check: need-node $(STAMPS)/dev node_modules/.package-lock.json ## the fast checks: ruff, mypy, imports, biome, tsc, is the built JavaScript fresh
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/python scripts/check_files.py
	$(BIN)/mypy
	$(BIN)/lint-imports --no-logo --no-cache
	npm run lint
	npm run build
	@git diff --exit-code --stat -- neurowidget/static && test -z "$$(git ls-files --others --exclude-standard neurowidget/static)" || \
		{ echo "neurowidget: neurowidget/static is not what js/ builds: run 'npm run build' and commit neurowidget/static" >&2; exit 1; }

build: need-node node_modules/.package-lock.json ## build js/ into neurowidget/static
	npm run build

clean: ## remove what the commands wrote; 'rm -r .venv node_modules' removes what they installed
	rm -rf demo.html dist build bench/results test-results .mypy_cache .pytest_cache .ruff_cache .hypothesis .import_linter_cache
	find neurowidget tests bench scripts -name __pycache__ -type d -prune -exec rm -rf {} + 2>/dev/null || true

$(STAMPS)/%: $(PYTHON_SETUP)
	@sh scripts/setup_python.sh $*

need-node:
	@command -v npm >/dev/null 2>&1 || { \
		echo "neurowidget: npm is missing. The JavaScript checks need Node 20.19 or newer: https://nodejs.org (mac: brew install node)." >&2; \
		echo "  Python tests alone need none: make demo && .venv/bin/python -m pip install -e '.[test]' && .venv/bin/python -m pytest" >&2; exit 1; }
	@node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 22 || (a === 22 && b >= 12) || (a === 20 && b >= 19) ? 0 : 1)' || { \
		echo "neurowidget: Node 20.19, 22.12 or newer is needed; this is $$(node --version)." >&2; exit 1; }

browser:
	@sh scripts/setup_browser.sh

node_modules/.package-lock.json: package.json package-lock.json
	npm ci --no-audit --no-fund --loglevel=error
	@touch $@
