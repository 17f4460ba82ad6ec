"""The command line: ``graflow run``, ``resume``, ``signal``, ``runs``, ``check``, ``show`` and ``schema``."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from importlib.util import find_spec
from typing import NoReturn


def main(args: Sequence[str] | None = None) -> NoReturn:
    """Run the command line and exit.

    Args:
        args: what comes after ``graflow``; by default the arguments of this process.

    Raises:
        SystemExit: always. 0 means success, 1 that a run failed (or that `check --portable` found an obstacle), 2 that
            the definition or the call is wrong, 124 that the run's time was up, 130 that Ctrl-C ended it.
    """
    # A process whose standard streams are closed has None in their place.
    sys.stdout = sys.stdout or open(os.devnull, "w")  # noqa: SIM115  # open until the process ends
    sys.stderr = sys.stderr or open(os.devnull, "w")  # noqa: SIM115
    missing = [package for package in ("click", "rich") if find_spec(package) is None]
    if missing:
        sys.stderr.write(
            f"graflow: the command line needs {' and '.join(missing)}, which "
            f"{'is' if len(missing) == 1 else 'are'} not installed; in a checkout of graflow run: "
            f"pip install '.[cli]'   (elsewhere: pip install {' '.join(missing)})\n"
        )
        sys.exit(2)
    from graflow.cli._app import run_app

    sys.exit(run_app(list(sys.argv[1:] if args is None else args)))
