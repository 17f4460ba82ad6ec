"""Every benchmark, with more turns, larger graphs, and the peers that are installed: `make bench`.

Some rows only: `make bench ARGS=L7`.
"""

import sys
from collections.abc import Iterator

import graphs
import peers
import rows
from measure import Pair, fresh
from report import WORK, Row, Settings, Target, report, say

#: Peers are slow: their graphs are small.
PEER_SIZE = 2_000
LARGE = 1_000_000


def more(settings: Settings) -> Iterator[Row]:
    """What only the full report has: a very large graph, and the peers."""
    if settings.wants("L12"):
        yield from large_rows()
    for row in filter(settings.wants, peers.ON_GRAPHS):
        for library in filter(peers.installed, peers.ON_GRAPHS[row]):
            for shape in graphs.SHAPES:
                say(f"{row} {library} {shape}")
                pair = Pair(*fresh(peers.measure_peer, row, library, shape, PEER_SIZE, settings.turns))
                work = f"{WORK[row]}, {shape} of {PEER_SIZE:,}, against {library}"
                yield Row(row, work, "µs/task", pair.ours * 1e6, pair.floor * 1e6, pair.ratio)
    if settings.wants("L7") and peers.installed("joblib"):
        say("L7 joblib")
        pair = Pair(*fresh(peers.measure_loky, 64, 50, settings.process_turns))
        yield Row("L7", "64 tasks of 50 ms on 2 processes, speed against joblib", "s", *pair[:2], 1 / pair.ratio)


def large_rows() -> Iterator[Row]:
    """L12."""
    say("L12")
    built, ran, memory = fresh(rows.measure_large, "layered", LARGE)
    work = f"layered of {LARGE:,}:"
    yield Row("L12", f"{work} define + build + compile", "µs/task", built / LARGE * 1e6)
    yield Row("L12", f"{work} run inline", "µs/task", ran / LARGE * 1e6)
    yield Row("L12", f"{work} memory of the process", "MiB", memory / 2**20, target=Target(most=4096))


if __name__ == "__main__":
    report(
        Settings(
            sizes=((1_000, 10), (10_000, 3), (100_000, 1)),
            turns=11,
            floors_up_to=100_000,
            async_up_to=100_000,
            memory_sizes=(10_000, 100_000),
            process_turns=7,
            only=tuple(sys.argv[1:]),
        ),
        more,
    )
