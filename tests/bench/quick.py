"""The benchmarks that fit into two minutes: `make bench-quick`, or some rows: `make bench-quick ARGS="L3 L5"`."""

import sys

from report import Settings, report

if __name__ == "__main__":
    report(
        Settings(
            sizes=((1_000, 3), (10_000, 1), (100_000, 1)),
            turns=5,
            floors_up_to=10_000,
            async_up_to=10_000,
            memory_sizes=(10_000,),
            process_turns=3,
            only=tuple(sys.argv[1:]),
        )
    )
