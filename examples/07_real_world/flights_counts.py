"""What the flights report adds up: flights matched with the weather, counted, and rolled up by any of their traits."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import NamedTuple, TypeVar

from flights_data import FLIGHTS, READINGS, Flight, Ledger, Reading, Split, Table, check

LATE_MINUTES = 15
"""A flight is late when it arrives this much after its schedule (the rule of the US Department of Transportation)."""


class Sky(StrEnum):
    """The weather at the origin in the scheduled hour: the first of these that holds."""

    NO_READING = "no reading"
    LOW_VISIBILITY = "visibility under 3 miles"
    WET = "rain or snow"
    WINDY = "wind of 20 mph or more"
    FAIR = "fair"

    @classmethod
    def of(cls, reading: Reading | None) -> "Sky":
        """What a reading amounts to; a wind that was not measured counts as none."""
        if reading is None:
            return cls.NO_READING
        if reading.visib < 3:
            return cls.LOW_VISIBILITY
        if reading.precip > 0:
            return cls.WET
        return cls.WINDY if (reading.wind_speed or 0) >= 20 else cls.FAIR


class Cell(NamedTuple):
    """What flights are counted by, at the finest; reports roll it up."""

    month: int
    carrier: str
    origin: str
    dest: str
    sky: Sky


class Tally(NamedTuple):
    """Flights and their delays, as whole numbers that add up in any order."""

    scheduled: int = 0
    departed: int = 0
    arrived: int = 0
    late: int = 0
    dep_minutes: int = 0
    arr_minutes: int = 0

    @property
    def cancelled(self) -> int:
        """Flights without a departure."""
        return self.scheduled - self.departed

    @property
    def no_arrival(self) -> int:
        """Flights that left, but have no arrival delay on record: most were diverted."""
        return self.departed - self.arrived

    @property
    def dep_delay(self) -> float | None:
        """Minutes late at departure: the mean over the flights that left, `None` if none did."""
        return self.dep_minutes / self.departed if self.departed else None

    @property
    def arr_delay(self) -> float | None:
        """Minutes late at arrival: the mean over the flights that arrived, `None` if none did."""
        return self.arr_minutes / self.arrived if self.arrived else None

    @classmethod
    def of(cls, flights: Sequence[Flight]) -> "Tally":
        """The tally of some flights."""
        departures = [flight.dep_delay for flight in flights if flight.dep_delay is not None]
        arrivals = [flight.arr_delay for flight in flights if flight.arr_delay is not None]
        late = sum(delay >= LATE_MINUTES for delay in arrivals)
        return cls(len(flights), len(departures), len(arrivals), late, sum(departures), sum(arrivals))

    @classmethod
    def total(cls, tallies: Iterable["Tally"]) -> "Tally":
        """One tally for all."""
        return cls(*map(sum, zip(*tallies, strict=True)))


Cube = Mapping[Cell, Tally]
Group = TypeVar("Group")


def roll_up(cube: Cube, by: Callable[[Cell], Group]) -> dict[Group, Tally]:
    """One tally for each value of `by`, in the order in which the cube first shows them."""
    groups: defaultdict[Group, list[Tally]] = defaultdict(list)
    for cell, tally in cube.items():
        groups[by(cell)].append(tally)
    return {group: Tally.total(tallies) for group, tallies in groups.items()}


@dataclass(frozen=True, slots=True)
class Summary:
    """What a month, or a year, comes to: some hundred counts in place of its rows."""

    cube: Cube
    flights: Ledger
    weather: Ledger


def match_weather(flights: Iterable[Flight], readings: Iterable[Reading]) -> list[tuple[Flight, Reading | None]]:
    """Each flight with the reading of its origin and scheduled hour, or with `None`: no flight is lost or doubled."""
    by_hour = {reading.key: reading for reading in readings}
    return [(flight, by_hour.get((flight.origin, flight.time_hour))) for flight in flights]


def summarise(flights: Table, weather: Table) -> Summary:
    """Checks, matches and counts the rows of one month.

    Raises:
        ValueError: a table has other columns than its file should have.
    """
    checked = check(flights, FLIGHTS, Flight._fields)
    readings = check(weather, READINGS, Reading._fields)
    cells: defaultdict[Cell, list[Flight]] = defaultdict(list)
    for flight, reading in match_weather(checked.rows, readings.rows):
        cells[Cell(flight.month, flight.carrier, flight.origin, flight.dest, Sky.of(reading))].append(flight)
    cube = {cell: Tally.of(cells[cell]) for cell in sorted(cells)}
    return Summary(cube, checked.ledger, readings.ledger)


def merge(months: Sequence[Summary], flights: Split, weather: Split) -> Summary:
    """The year from its months, and from what belonged to no month.

    Raises:
        ValueError: lines that were read are missing from the accounts, or valid flights from the counts.
    """
    year = Summary(
        cube={cell: tally for month in months for cell, tally in month.cube.items()},
        flights=Ledger.total([flights.stray, *(month.flights for month in months)]),
        weather=Ledger.total([weather.stray, *(month.weather for month in months)]),
    )
    counted = sum(tally.scheduled for tally in year.cube.values())
    for what, expected, found in (
        ("flights read", flights.read, year.flights.read),
        ("readings read", weather.read, year.weather.read),
        ("valid flights", year.flights.valid, counted),
    ):
        if expected != found:
            raise ValueError(f"the months account for {found:,} of {expected:,} {what}")
    return year
