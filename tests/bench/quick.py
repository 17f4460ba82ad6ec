"""The benchmarks that fit into two minutes: `make bench-quick`."""

from report import Settings, report

if __name__ == "__main__":
    report(
        Settings(
            sizes={1_000: 15, 10_000: 7, 100_000: 5},
            shown=(10_000, 100_000),
            floors_up_to=10_000,
            memory_sizes=(10_000,),
            process_repeats=3,
            repeats=7,
        )
    )
