"""Check files for stray white space, merge marks and size. Arguments: paths; none means all of git's."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

MAX_BYTES = 3_000_000
GENERATED = ("neurowidget/static/", "js/fixtures/")


def problems(path: Path) -> list[str]:
    """What is wrong with one file, one line each."""
    content = path.read_bytes()
    found = []
    if len(content) > MAX_BYTES:
        found.append(f"{path}: {len(content):,} bytes; a file here has at most {MAX_BYTES:,}")
    if b"\0" in content or path.as_posix().startswith(GENERATED):
        return found
    if content and not content.endswith(b"\n"):
        found.append(f"{path}: no newline at its end")
    for number, line in enumerate(content.split(b"\n"), 1):
        if line.endswith((b" ", b"\t", b"\r")):
            found.append(f"{path}:{number}: white space at the end of the line")
        if line.startswith((b"<<<<<<< ", b">>>>>>> ")):
            found.append(f"{path}:{number}: a mark of a merge conflict")
    return found


def main(arguments: list[str]) -> int:
    """Print every problem; 1 if there is one."""
    if not arguments:
        listed = subprocess.run(["git", "ls-files", "-z"], capture_output=True, check=True).stdout
        arguments = [name for name in listed.decode().split("\0") if name]
    found = [line for name in arguments if Path(name).is_file() for line in problems(Path(name))]
    print("\n".join(found) if found else f"{len(arguments)} files checked")
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
