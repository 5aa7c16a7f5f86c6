"""Runs test suites on a copy of the repository, each in a child of its own: ``python sandbox.py ROOT MODULES``.

A script that knows nothing of the package. What suites have in common (MODULES, joined by commas) is imported once;
then every line of JSON on stdin, ``{"arguments": [...], "limit": 60, "log": "file"}``, forks a child that runs pytest
in ROOT, and is answered by a line ``{"code": 1, "seconds": 0.7}``; code null means that the child was ended at its
limit. ROOT comes first on the path, so it is the package in there that is tested.
"""

from __future__ import annotations

import importlib
import json
import os
import signal
import sys
import time
import traceback


def main() -> None:
    """Answer line by line until stdin ends."""
    root, modules = sys.argv[1:3]
    os.chdir(root)
    sys.path[:0] = [root, os.path.join(root, "tests")]
    sys.dont_write_bytecode = True
    for module in modules.split(","):
        importlib.import_module(module)
    out = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        start = time.perf_counter()
        code = run(asked["arguments"], asked["limit"], asked["log"])
        print(json.dumps({"code": code, "seconds": time.perf_counter() - start}), file=out, flush=True)


def run(arguments: list[str], limit: float, log: str) -> int | None:
    """The exit code of pytest in a child; None where it was ended at its limit."""
    child = os.fork()
    if child == 0:
        _test(arguments, limit, log)
    _, status = os.waitpid(child, 0)
    code = os.waitstatus_to_exitcode(status)
    return None if code == -signal.SIGALRM else code


def _test(arguments: list[str], limit: float, log: str) -> None:
    """Run pytest and end this process; the alarm ends it in compiled code too."""
    import pytest

    code = 3
    try:
        signal.setitimer(signal.ITIMER_REAL, limit)
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        code = int(pytest.main(arguments))
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        os._exit(code)


if __name__ == "__main__":
    main()
