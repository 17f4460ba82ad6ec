"""The flights example: what its report says and how it is written, from counts made by hand."""

import sys
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).parents[2] / "examples" / "07_real_world"
sys.path.insert(0, str(EXAMPLE))

import flights_counts as counts  # noqa: E402
import flights_data as data  # noqa: E402
import flights_report as report  # noqa: E402

LATE = counts.Tally(scheduled=3, departed=2, arrived=2, late=1, dep_minutes=21, arr_minutes=30)
EARLY = counts.Tally(scheduled=1, departed=1, arrived=1, dep_minutes=-3, arr_minutes=-9)


def small_report() -> report.Report:
    months = {2: EARLY, 1: LATE}
    bad = data.Ledger.of(2, 0, {"no <b> | tag": ["<script>\x1b[31m", "x"]})
    sections = [report.month_section(months), report.reject_section(bad, data.Ledger(1, 1))]
    return report.make_report(months, {counts.Sky.FAIR: LATE, counts.Sky.NO_READING: EARLY}, sections)


MARKDOWN = r"""# Flights from New York

4 flights: 1 cancelled (no departure on record), 3 arrived.

0 more left, but have no arrival delay on record, as is usual for diverted flights.

The mean delay was 6.0 minutes at departure, 7.0 at arrival.

3 flights have a weather reading of their airport and hour, 1 have none.

![Mean delay by month, in minutes](flights.svg)

## Months

Delays are means in minutes: at departure over the flights that left, at arrival over those that arrived; \
negative is early. Late: the share of arrivals 15 minutes or more behind schedule.

| Month | Flights | Cancelled | No arrival | Departure delay | Arrival delay | Late |
| --- | ---: | ---: | ---: | ---: | ---: | ---: |
| January | 3 | 1 | 0 | 10.5 | 15.0 | 50.0% |
| February | 1 | 0 | 0 | -3.0 | -9.0 | 0.0% |

## Rejected lines

2 of 2 flights and 0 of 1 weather readings break a rule and are left out of every other figure here.

| Reason | Lines | First of them |
| --- | ---: | ---: |
| flights: no \<b\> \| tag | 2 | \<script\>�\[31m |
""".replace("\\\n", "")


class TestReport:
    def test_markdown(self) -> None:
        assert report.to_markdown(small_report(), chart="flights.svg") == MARKDOWN

    def test_html_is_whole_and_fetches_nothing(self) -> None:
        class Reader(HTMLParser):
            def __init__(self) -> None:
                super().__init__()
                self.tags: list[str] = []
                self.links: list[tuple[str, str | None]] = []

            def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
                self.tags.append(tag)
                self.links += [pair for pair in attrs if pair[0] in {"src", "href", "srcset", "data"}]

        page = report.to_html(small_report())
        reader = Reader()
        reader.feed(page)
        assert reader.tags.count("table") == 2
        assert reader.tags.count("svg") == 1
        assert "script" not in reader.tags
        assert reader.links == []
        assert "url(" not in page
        assert "&lt;script&gt;\N{REPLACEMENT CHARACTER}[31m" in page

    def test_the_chart_shows_every_value_and_its_sign(self) -> None:
        chart = report.Chart("Delay", "min", ["a", "b", "<c>"], [("One", [10, None, -5]), ("Two", [None, 2.5, 0])])
        root = ElementTree.fromstring(report.to_svg(chart))
        space = "{http://www.w3.org/2000/svg}"
        tips = {str(bar.findtext(f"{space}title")): bar for bar in root.iter(f"{space}rect") if len(bar)}
        assert list(tips) == ["a, One: 10.0 min", "<c>, One: -5.0 min", "b, Two: 2.5 min", "<c>, Two: 0.0 min"]
        zero = next(float(line.attrib["y1"]) for line in root.iter(f"{space}line") if line.get("class") == "zero")
        top = {tip: float(bar.attrib["y"]) for tip, bar in tips.items()}
        height = {tip: float(bar.attrib["height"]) for tip, bar in tips.items()}
        assert top["a, One: 10.0 min"] + height["a, One: 10.0 min"] == pytest.approx(zero, abs=0.11)
        assert top["<c>, One: -5.0 min"] == zero
        assert height["a, One: 10.0 min"] == pytest.approx(2 * height["<c>, One: -5.0 min"], abs=0.2)

    def test_a_chart_without_values_is_still_a_chart(self) -> None:
        assert ElementTree.fromstring(report.to_svg(report.Chart("Delay", "min", ["a"], [("One", [None])]))) is not None

    @given(
        st.integers(-10_000_000, 0).map(lambda thousandths: thousandths / 1000),
        st.integers(0, 10_000_000).map(lambda thousandths: thousandths / 1000),
    )
    def test_the_scale_encloses_the_values(self, low: float, high: float) -> None:
        ticks = report.scale(low, high)
        assert ticks[0] <= low + 1e-9
        assert ticks[-1] >= high - 1e-9
        assert 0 in ticks
        assert 2 <= len(ticks) <= 7

    def test_routes_with_few_arrivals_are_counted_and_not_ranked(self) -> None:
        routes = {("EWR", "AAA"): EARLY, ("EWR", "BBB"): LATE, ("EWR", "CCC"): LATE, ("JFK", "DDD"): counts.Tally(9)}
        section = report.route_section(routes, top=2, min_arrivals=1)
        assert [row[0] for row in section.rows] == ["EWR → BBB", "EWR → CCC"]
        assert section.note == (
            "The mean of 3 of 4 routes rests on at least 1 arrivals; of these, the 2 that arrive latest."
        )

    def test_carriers_go_by_name_and_those_without_arrivals_come_last(self) -> None:
        section = report.carrier_section({"XX": counts.Tally(2), "AA": EARLY, "UA": LATE}, {"UA": "United"})
        assert section.rows == [
            ("United", "3", "1", "0", "10.5", "15.0", "50.0%"),
            ("AA", "1", "0", "0", "-3.0", "-9.0", "0.0%"),
            ("XX", "2", "2", "0", "–", "–", "–"),
        ]

    def test_writing_replaces_what_was_there(self, tmp_path: Path) -> None:
        first = report.write(small_report(), tmp_path / "new" / "place")
        before = first.read_text(encoding="utf-8")
        first.write_text("old")
        assert report.write(small_report(), tmp_path / "new" / "place") == first
        assert first.read_text(encoding="utf-8") == before
        assert sorted(path.name for path in first.parent.iterdir()) == ["flights.html", "flights.md", "flights.svg"]
