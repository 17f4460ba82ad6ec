"""A scientific workflow from a WfFormat instance: what it holds, how long it takes on few and many workers, a picture.

Run it with `python examples/07_real_world/montage.py`, or give it an instance of your own:
`python examples/07_real_world/montage.py instance.json --scale 0.001 --picture instance.svg`.
`montage.json` was written by hand in the shape of Montage, which makes one mosaic of many images of the sky.
"""

import argparse
from pathlib import Path

from graflow import LocalRunner
from graflow.contrib import wfformat
from graflow.show import picture_of, render

MONTAGE = Path(__file__).parent / "montage.json"
SCALE = 0.01  # a recorded second takes ten milliseconds

workflow = wfformat.load(MONTAGE, scale=SCALE)


def measure(instance: Path, scale: float, picture: Path | None) -> None:
    shape = wfformat.describe(instance)
    print(shape)
    loaded = wfformat.load(instance, scale=scale)
    shortest = shape.critical_seconds * scale
    print(f"at scale {scale:g} the critical path takes {shortest:.3f} s")
    runs = {workers: LocalRunner("threads", max_workers=workers).run(loaded) for workers in (1, 2, 4, 8)}
    for workers, run in runs.items():
        print(f"{workers} workers: {run.duration:.3f} s")
    if picture is not None:
        picture.write_text(render(picture_of(loaded, runs[8]), "svg"), "utf-8")
        print(f"the last run is drawn in {picture}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="Run a WfFormat instance on 1, 2, 4 and 8 threads.")
    parser.add_argument("instance", type=Path, nargs="?", default=MONTAGE)
    parser.add_argument("--scale", type=float, default=SCALE, help="seconds of a run per recorded second")
    parser.add_argument("--picture", type=Path, help="where to draw the last run, as SVG")
    given = parser.parse_args()
    measure(given.instance, given.scale, given.picture)
