"""``python -m graflow``: the same as the command ``graflow``."""

import sys

from graflow.cli import main

if __name__ == "__main__":
    # `python -m` puts the working directory first on the search path. The command does not: what happens to lie there
    # must not be imported unless the user asks for it with --app-dir.
    if not sys.flags.safe_path:
        del sys.path[0]
    main()
