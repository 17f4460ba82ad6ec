"""One report, written twice: as Markdown, and as a single HTML file that needs no network, with its chart inside."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, inf, log10
from pathlib import Path
from typing import TypeVar

from flights_counts import LATE_MINUTES, Sky, Tally
from flights_data import MONTHS, Ledger

MONTH_NAMES = (
    *("January", "February", "March", "April", "May", "June"),
    *("July", "August", "September", "October", "November", "December"),
)
COLUMNS = ("Flights", "Cancelled", "No arrival", "Departure delay", "Arrival delay", "Late")
UNKNOWN = "\N{EN DASH}"
LEGEND = (
    "Delays are means in minutes: at departure over the flights that left, at arrival over those that arrived; "
    f"negative is early. Late: the share of arrivals {LATE_MINUTES} minutes or more behind schedule."
)

Name = TypeVar("Name")


@dataclass(frozen=True, slots=True)
class Section:
    """A table under a heading. The first column holds names, the others figures."""

    title: str
    note: str
    columns: Sequence[str]
    rows: Sequence[Sequence[str]]


@dataclass(frozen=True, slots=True)
class Chart:
    """Columns in groups: one group for each label, one column in it for each series, none where there is no value."""

    title: str
    unit: str
    labels: Sequence[str]
    series: Sequence[tuple[str, Sequence[float | None]]]

    @property
    def heading(self) -> str:
        """The title with the unit."""
        return f"{self.title}, in {self.unit}"


@dataclass(frozen=True, slots=True)
class Report:
    """What both forms say, every figure already text."""

    title: str
    summary: Sequence[str]
    chart: Chart
    sections: Sequence[Section]


# --- What to say -----------------------------------------------------------------------------------------------------


def figures(name: str, tally: Tally) -> tuple[str, ...]:
    """A row of a delay table, in the order of `COLUMNS`."""
    late = f"{tally.late / tally.arrived:.1%}" if tally.arrived else UNKNOWN
    counts = (f"{count:,}" for count in (tally.scheduled, tally.cancelled, tally.no_arrival))
    return (name, *counts, _minutes(tally.dep_delay), _minutes(tally.arr_delay), late)


def _minutes(mean: float | None) -> str:
    return UNKNOWN if mean is None else f"{mean:.1f}"


def month_section(months: Mapping[int, Tally]) -> Section:
    """Delays by month of the scheduled departure, in the order of the year."""
    rows = [figures(MONTH_NAMES[month - 1], months[month]) for month in sorted(months)]
    return Section("Months", LEGEND, ("Month", *COLUMNS), rows)


def carrier_section(carriers: Mapping[str, Tally], names: Mapping[str, str]) -> Section:
    """Delays by carrier, the latest to arrive first; a carrier without a name shows its code."""
    rows = [figures(names.get(code, code), carriers[code]) for code in latest_first(carriers)]
    return Section("Carriers", "The carrier that arrives latest comes first.", ("Carrier", *COLUMNS), rows)


def route_section(routes: Mapping[tuple[str, str], Tally], top: int, min_arrivals: int) -> Section:
    """The `top` routes that arrive latest, of those with enough arrivals for their mean to mean something."""
    ranked = [route for route in latest_first(routes) if routes[route].arrived >= min_arrivals]
    first = ranked[:top]
    rows = [figures(f"{origin} → {dest}", routes[origin, dest]) for origin, dest in first]
    note = (
        f"The mean of {len(ranked)} of {len(routes)} routes rests on at least {min_arrivals} arrivals; "
        f"of these, the {len(first)} that arrive latest."
    )
    return Section("Routes", note, ("Route", *COLUMNS), rows)


def weather_section(skies: Mapping[Sky, Tally]) -> Section:
    """Delays by weather, the fairest last."""
    rows = [figures(sky.capitalize(), skies[sky]) for sky in Sky if sky in skies]
    note = "The weather at the origin in the hour of the scheduled departure: the first line that applies."
    return Section("Weather", note, ("Weather", *COLUMNS), rows)


def reject_section(flights: Ledger, weather: Ledger) -> Section:
    """Why lines were left out: a line counts once, under the first thing that is wrong with it."""
    rows = [
        (f"{table}: {reason}", f"{reject.count:,}", _printable(reject.example))
        for table, ledger in (("flights", flights), ("weather", weather))
        for reason, reject in ledger.rejects.items()
    ]
    note = (
        f"{flights.rejected:,} of {flights.read:,} flights and {weather.rejected:,} of {weather.read:,} weather "
        "readings break a rule and are left out of every other figure here."
    )
    return Section("Rejected lines", note, ("Reason", "Lines", "First of them"), rows)


def make_report(months: Mapping[int, Tally], skies: Mapping[Sky, Tally], sections: Sequence[Section]) -> Report:
    """The report: the whole year in sentences, a chart of the months, and the sections as they are given."""
    year = Tally.total(months.values())
    unmatched = skies.get(Sky.NO_READING, Tally())
    matched = year.scheduled - unmatched.scheduled
    summary = [
        f"{year.scheduled:,} flights: {year.cancelled:,} cancelled (no departure on record), {year.arrived:,} arrived.",
        f"{year.no_arrival:,} more left, but have no arrival delay on record, as is usual for diverted flights.",
        f"The mean delay was {_minutes(year.dep_delay)} minutes at departure, {_minutes(year.arr_delay)} at arrival.",
        f"{matched:,} flights have a weather reading of their airport and hour, {unmatched.scheduled:,} have none.",
    ]
    tallies = [months.get(month, Tally()) for month in MONTHS]
    chart = Chart(
        title="Mean delay by month",
        unit="minutes",
        labels=[name[:3] for name in MONTH_NAMES],
        series=[("Departure", [t.dep_delay for t in tallies]), ("Arrival", [t.arr_delay for t in tallies])],
    )
    return Report("Flights from New York", summary, chart, sections)


def latest_first(tallies: Mapping[Name, Tally]) -> list[Name]:
    """The names by their mean arrival delay, longest first; those without an arrival last, equal ones by name."""

    def rank(name: Name) -> tuple[float, str]:
        delay = tallies[name].arr_delay
        return inf if delay is None else -delay, str(name)

    return sorted(tallies, key=rank)


def _printable(text: str, width: int = 120) -> str:
    """A line of unknown origin, fit to be shown: no control characters, no great length."""
    shown = "".join(char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in text)
    return shown if len(shown) <= width else f"{shown[: width - 1]}…"


# --- How to say it ---------------------------------------------------------------------------------------------------


def write(report: Report, directory: Path) -> Path:
    """Writes `flights.md`, `flights.svg` (the chart it shows) and `flights.html` (complete in itself).

    Returns:
        The full path of the HTML file; its siblings lie beside it. Files of these names are replaced.

    Raises:
        OSError: the directory cannot be made, or a file not written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    page = directory.resolve() / "flights.html"
    for path, text in (
        (page.with_suffix(".md"), to_markdown(report, chart=page.with_suffix(".svg").name)),
        (page.with_suffix(".svg"), to_svg(report.chart)),
        (page, to_html(report)),
    ):
        path.write_text(text, encoding="utf-8", newline="\n")
    return page


def to_markdown(report: Report, chart: str) -> str:
    """The report as Markdown; `chart` is where it finds the picture."""
    blocks = [f"# {_md(report.title)}", *map(_md, report.summary), f"![{_md(report.chart.heading)}]({chart})"]
    for section in report.sections:
        blocks += [f"## {_md(section.title)}", _md(section.note)]
        if section.rows:
            rule = ["---", *["---:"] * (len(section.columns) - 1)]
            lines = [[_md(cell) for cell in row] for row in (section.columns, *section.rows)]
            blocks.append("\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:])))
    return "\n\n".join(blocks) + "\n"


def _md(text: str) -> str:
    """Text that Markdown shows as it is."""
    return re.sub(r"([\\`*_\[\]<>|#~&])", r"\\\1", text)


PAGE_STYLE = """
:root { color-scheme: light dark; }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
th, td { padding: .25rem .75rem; border-bottom: 1px solid color-mix(in srgb, currentColor 20%, transparent); }
th:not(:first-child), td { text-align: right; overflow-wrap: anywhere; }
th { text-align: left; font-weight: 600; }
tbody th { font-weight: 400; }
svg { max-width: 100%; height: auto; }
.wide { overflow-x: auto; }
"""


def to_html(report: Report) -> str:
    """The report as one HTML page. Its policy lets a browser load nothing: all it needs is inside."""
    parts = [
        "<!doctype html>",
        '<html lang="en">',
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width">',
        """<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">""",
        f"<title>{escape(report.title)}</title>",
        f"<style>{PAGE_STYLE}</style>",
        f"<h1>{escape(report.title)}</h1>",
        *(f"<p>{escape(sentence)}</p>" for sentence in report.summary),
        f"<h2>{escape(report.chart.heading)}</h2>",
        to_svg(report.chart),
    ]
    for section in report.sections:
        parts += [f"<h2>{escape(section.title)}</h2>", f"<p>{escape(section.note)}</p>"]
        if section.rows:
            parts += ['<div class="wide"><table>', *_html_rows(section), "</table></div>"]
    return "\n".join([*parts, "</html>"]) + "\n"


def _html_rows(section: Section) -> Iterator[str]:
    heads = "".join(f'<th scope="col">{escape(column)}</th>' for column in section.columns)
    yield f"<thead><tr>{heads}</tr></thead>"
    yield "<tbody>"
    for name, *cells in section.rows:
        figures = "".join(f"<td>{escape(cell)}</td>" for cell in cells)
        yield f'<tr><th scope="row">{escape(name)}</th>{figures}</tr>'
    yield "</tbody>"


# --- The chart -------------------------------------------------------------------------------------------------------

WIDTH, HEIGHT, LEFT, TOP, BOTTOM = 720, 320, 40, 32, 28
CHART_STYLE = """
text { font: 12px system-ui, sans-serif; fill: currentColor; }
.scale { text-anchor: end; } .label { text-anchor: middle; }
line { stroke: currentColor; stroke-opacity: .15; } .zero { stroke-opacity: .7; }
.series0 { fill: #0072b2; } .series1 { fill: #e69f00; }
svg { color: #222; } @media (prefers-color-scheme: dark) { svg { color: #ddd; } }
"""  # two colours that stay apart for colour-blind readers (Okabe and Ito)


def to_svg(chart: Chart) -> str:
    """The chart as SVG: a file of its own, or part of a page. Each column tells its value when pointed at."""
    values = [0.0, *(value for _, series in chart.series for value in series if value is not None)]
    ticks = scale(min(values), max(values))
    low, high = ticks[0], ticks[-1]

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    size = f'viewBox="0 0 {WIDTH} {HEIGHT}" width="{WIDTH}" height="{HEIGHT}"'
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" {size} role="img" aria-label="{escape(chart.heading)}">']
    parts.append(f"<style>{CHART_STYLE}</style>")
    for tick in ticks:
        kind = ' class="zero"' if tick == 0 else ""
        parts.append(f'<line{kind} x1="{LEFT}" x2="{WIDTH}" y1="{y(tick):.1f}" y2="{y(tick):.1f}"/>')
        parts.append(f'<text class="scale" x="{LEFT - 6}" y="{y(tick) + 4:.1f}">{tick:g}</text>')
    group = (WIDTH - LEFT) / len(chart.labels)
    for index, label in enumerate(chart.labels):
        middle = LEFT + group * (index + 0.5)
        parts.append(f'<text class="label" x="{middle:.1f}" y="{HEIGHT - 8}">{escape(label)}</text>')
    width = group * 0.8 / len(chart.series)
    for which, (name, series) in enumerate(chart.series):
        at = LEFT + 120 * which
        parts.append(f'<rect class="series{which}" x="{at}" y="8" width="12" height="12"/>')
        parts.append(f'<text x="{at + 18}" y="18">{escape(name)}</text>')
        for index, value in enumerate(series):
            if value is not None:
                x, top, bottom = LEFT + group * (index + 0.1) + width * which, y(max(value, 0)), y(min(value, 0))
                place = f'x="{x:.1f}" y="{top:.1f}" width="{width:.1f}" height="{bottom - top:.1f}"'
                tip = escape(f"{chart.labels[index]}, {name}: {value:.1f} {chart.unit}")
                parts.append(f'<rect class="series{which}" {place}><title>{tip}</title></rect>')
    return "\n".join([*parts, "</svg>"]) + "\n"


def scale(low: float, high: float) -> list[float]:
    """Round numbers at even distances, seven at most, from `low` or just below to `high` or just above."""
    rough = (high - low or 1) / 5
    power = 10.0 ** floor(log10(rough))
    distance = next(times * power for times in (1, 2, 5, 10) if times * power >= rough)
    first, last = floor(low / distance), ceil(high / distance)
    return [distance * count for count in range(first, max(last, first + 1) + 1)]
