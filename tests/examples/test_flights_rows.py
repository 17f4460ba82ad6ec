"""The flights example: what it does with rows, on rows made by hand."""

import sys
import zipfile
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

EXAMPLE = Path(__file__).parents[2] / "examples" / "07_real_world"
sys.path.insert(0, str(EXAMPLE))

import flights_counts as counts  # noqa: E402
import flights_data as data  # noqa: E402

FLIGHT = {
    "year": "2013",
    "month": "1",
    "day": "1",
    "dep_time": "517",
    "sched_dep_time": "515",
    "dep_delay": "2",
    "arr_time": "830",
    "sched_arr_time": "819",
    "arr_delay": "11",
    "carrier": "UA",
    "flight": "1545",
    "tailnum": "N14228",
    "origin": "EWR",
    "dest": "IAH",
    "air_time": "227",
    "distance": "1400",
    "hour": "5",
    "minute": "15",
    "time_hour": "2013-01-01T10:00:00Z",
}
READING = {
    "origin": "EWR",
    "year": "2013",
    "month": "1",
    "day": "1",
    "hour": "5",
    "temp": "39.02",
    "dewp": "26.06",
    "humid": "59.37",
    "wind_dir": "270",
    "wind_speed": "10.35702",
    "wind_gust": "NA",
    "precip": "0",
    "pressure": "1012",
    "visib": "10",
    "time_hour": "2013-01-01T10:00:00Z",
}
CANCELLED = {"dep_time": "NA", "dep_delay": "NA", "arr_time": "NA", "arr_delay": "NA", "air_time": "NA"}


def flight_line(**cells: str) -> str:
    return ",".join((FLIGHT | cells).values())


def reading_line(**cells: str) -> str:
    return ",".join((READING | cells).values())


def flight_table(*lines: str) -> data.Table:
    return data.Table(data.Flight._fields, lines)


def reading_table(*lines: str) -> data.Table:
    return data.Table(data.Reading._fields, lines)


def check_flights(*lines: str) -> data.Checked[data.Flight]:
    return data.check(flight_table(*lines), data.FLIGHTS, data.Flight._fields)


def check_readings(*lines: str) -> data.Checked[data.Reading]:
    return data.check(reading_table(*lines), data.READINGS, data.Reading._fields)


def flight(**cells: str) -> data.Flight:
    return check_flights(flight_line(**cells)).rows[0]


def reading(**cells: str) -> data.Reading:
    return check_readings(reading_line(**cells)).rows[0]


class TestReading:
    def test_zip_and_plain_file_give_the_same_lines(self, tmp_path: Path) -> None:
        text = "\N{ZERO WIDTH NO-BREAK SPACE}a,b\r\n1,2\r\n3,4\r\n"  # the mark at the start of files from Windows
        (tmp_path / "plain.csv").write_bytes(text.encode())
        with zipfile.ZipFile(tmp_path / "packed.csv.zip", "w") as archive:
            archive.writestr("plain.csv", text.encode())
        expected = data.Table(("a", "b"), ["1,2", "3,4"])
        assert data.read_csv(tmp_path / "plain.csv") == expected
        assert data.read_csv(tmp_path / "packed.csv.zip") == expected

    def test_a_broken_byte_costs_one_row(self, tmp_path: Path) -> None:
        (tmp_path / "broken.csv").write_bytes(b"a,b\n\xff,2\n3,4\n")
        assert data.read_csv(tmp_path / "broken.csv").lines == ["\N{REPLACEMENT CHARACTER},2", "3,4"]

    def test_only_a_header_is_an_empty_table(self, tmp_path: Path) -> None:
        (tmp_path / "header.csv").write_text("a,b\n")
        assert data.read_csv(tmp_path / "header.csv") == data.Table(("a", "b"), [])

    def test_an_empty_file_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "empty.csv").write_text("")
        with pytest.raises(ValueError, match=r"empty\.csv is empty; its first line should name the columns"):
            data.read_csv(tmp_path / "empty.csv")

    def test_an_archive_of_several_files_is_refused(self, tmp_path: Path) -> None:
        with zipfile.ZipFile(tmp_path / "two.zip", "w") as archive:
            archive.writestr("one.csv", "")
            archive.writestr("two.csv", "")
        with pytest.raises(ValueError, match=r"should hold one file, but holds 2: one\.csv, two\.csv"):
            data.read_csv(tmp_path / "two.zip")


class TestSplit:
    def test_months_are_dealt_out_and_all_there(self) -> None:
        split = data.split_by_month(flight_table(*(flight_line(month=str(month)) for month in (12, 1, 12))))
        assert {month: len(table.lines) for month, table in split.months.items() if table.lines} == {1: 1, 12: 2}
        assert list(split.months) == list(range(1, 13))
        assert split.read == 3
        assert split.stray == data.Ledger()

    def test_lines_of_no_month_are_rejected(self) -> None:
        strays = (flight_line(month="13"), "2013", "", flight_line(month="NA"))
        split = data.split_by_month(flight_table(*strays, flight_line()))
        assert split.stray == data.Ledger(4, 0, {"month: not 1 to 12": data.Reject(4, strays[0])})

    def test_the_column_is_found_by_name(self) -> None:
        split = data.split_by_month(reading_table(reading_line(month="7")))
        assert split.months[7].lines == [reading_line(month="7")]


NOT_AN_INTEGER = "Input should be a valid integer, unable to parse string as an integer"


class TestCheck:
    def test_a_row_becomes_typed_values(self) -> None:
        row = flight()
        assert (row.month, row.dep_delay, row.carrier, row.origin) == (1, 2, "UA", "EWR")
        assert row.time_hour == datetime(2013, 1, 1, 10, tzinfo=UTC)

    @pytest.mark.parametrize(
        "cells",
        [
            pytest.param(CANCELLED, id="cancelled"),
            pytest.param({"arr_time": "NA", "arr_delay": "NA", "air_time": "NA"}, id="never arrived"),
            pytest.param({"arr_delay": "NA", "air_time": "NA"}, id="arrived elsewhere"),
            pytest.param({"tailnum": "NA"}, id="unknown aircraft"),
            pytest.param({"dep_time": "2400", "dep_delay": "1125"}, id="left at midnight"),
            pytest.param({"dep_time": "5", "dep_delay": "1130"}, id="left the next day"),
            pytest.param({"dep_time": "510", "dep_delay": "-5"}, id="left early"),
            pytest.param({"month": "7", "time_hour": "2013-07-01T09:00:00Z"}, id="summer time"),
            pytest.param({"time_hour": "2013-01-01T05:00:00-05:00"}, id="the same hour, told otherwise"),
        ],
    )
    def test_unusual_flights_are_valid(self, cells: dict[str, str]) -> None:
        assert check_flights(flight_line(**cells)).ledger == data.Ledger(1, 1)

    @pytest.mark.parametrize(
        ("cells", "reason"),
        [
            ({"year": "13"}, "year: Input should be greater than or equal to 1900"),
            ({"day": "first"}, f"day: {NOT_AN_INTEGER}"),
            ({"day": "32"}, "day: Input should be less than or equal to 31"),
            ({"month": "2", "day": "30"}, "no such date"),
            ({"dep_time": "2401"}, "dep_time: Input should be less than or equal to 2400"),
            ({"dep_time": "575"}, "not a time of day"),
            ({"sched_arr_time": "NA"}, "sched_arr_time: Input should be a valid integer"),
            ({"dep_delay": "1.5"}, f"dep_delay: {NOT_AN_INTEGER}"),
            ({"dep_delay": "3"}, "dep_delay does not agree with the times"),
            ({"dep_delay": "20162"}, "dep_delay: Input should be less than 10080"),
            ({"dep_delay": "NA"}, "dep_time without dep_delay"),
            ({"arr_delay": "12"}, "arr_delay does not agree with the times"),
            ({"arr_time": "NA"}, "arr_delay without arr_time"),
            ({"dep_time": "NA"}, "arrived without departing"),
            (CANCELLED | {"dep_delay": "2"}, "dep_delay without dep_time"),
            ({"carrier": "United"}, "carrier: String should match pattern '^[A-Z0-9]{2}$'"),
            ({"flight": "0"}, "flight: Input should be greater than or equal to 1"),
            ({"origin": "SFO"}, "origin: Input should be 'EWR', 'JFK' or 'LGA'"),
            ({"origin": "NA"}, "origin: Input should be 'EWR', 'JFK' or 'LGA'"),
            ({"dest": "EWR"}, "origin and destination are the same"),
            ({"dest": "iah"}, "dest: String should match pattern '^[A-Z]{3}$'"),
            ({"distance": "0"}, "distance: Input should be greater than 0"),
            ({"minute": "16"}, "hour and minute are not sched_dep_time"),
            ({"time_hour": "2013-01-01T05:00:00Z"}, "time_hour is not the local hour in UTC"),
            ({"time_hour": "2013-01-01T10:00:00"}, "time_hour: not a whole hour with its offset from UTC"),
            ({"time_hour": "2013-01-01T10:15:00Z"}, "time_hour: not a whole hour with its offset from UTC"),
            ({"time_hour": "NA"}, "time_hour: not a date and time"),
            ({"time_hour": "2013-01-01T10:00:00Z,"}, "not 19 cells"),
        ],
    )
    def test_a_broken_flight_is_rejected_for_its_reason(self, cells: dict[str, str], reason: str) -> None:
        broken, sound = flight_line(**cells), flight_line(flight="7")
        checked = check_flights(broken, sound, broken)
        assert checked.ledger == data.Ledger(3, 1, {reason: data.Reject(2, broken)})
        assert [row.flight for row in checked.rows] == [7]

    @pytest.mark.parametrize(
        ("cells", "reason"),
        [
            ({"wind_speed": "1048.36"}, "wind_speed: Input should be less than or equal to 300"),
            ({"precip": "-0.1"}, "precip: Input should be greater than or equal to 0"),
            ({"visib": "NA"}, "visib: Input should be a valid number"),
            ({"humid": "101"}, "humid: Input should be less than or equal to 100"),
            ({"hour": "6"}, "time_hour is not the local hour in UTC"),
        ],
    )
    def test_a_broken_reading_is_rejected_for_its_reason(self, cells: dict[str, str], reason: str) -> None:
        broken = reading_line(**cells)
        assert check_readings(broken).ledger == data.Ledger(1, 0, {reason: data.Reject(1, broken)})

    def test_a_line_with_several_faults_counts_once_under_the_first(self) -> None:
        broken = flight_line(day="0", origin="SFO", distance="0")
        ledger = check_flights(broken).ledger
        assert ledger.rejects == {"day: Input should be greater than or equal to 1": data.Reject(1, broken)}

    def test_a_repeated_row_is_rejected_and_the_first_kept(self) -> None:
        again = flight_line(tailnum="N00000")
        checked = check_flights(flight_line(), again, flight_line(flight="7"))
        assert checked.ledger == data.Ledger(3, 2, {"repeats an earlier row": data.Reject(1, again)})
        assert [row.tailnum for row in checked.rows] == ["N14228", "N14228"]

    def test_a_stray_quote_costs_its_own_line_only(self) -> None:
        ledger = check_flights(flight_line(origin='"EWR'), flight_line(flight="7"), flight_line(flight="8")).ledger
        assert (ledger.valid, ledger.rejected) == (2, 1)

    def test_other_columns_are_refused(self) -> None:
        with pytest.raises(ValueError, match="the columns are a, b; expected origin, year, "):
            data.check(data.Table(("a", "b"), []), data.READINGS, data.Reading._fields)

    @given(
        st.lists(
            st.one_of(
                st.text(),
                st.dictionaries(st.sampled_from(list(FLIGHT)), st.text(max_size=8)).map(lambda d: flight_line(**d)),
                st.dictionaries(st.sampled_from(list(FLIGHT)), st.integers().map(str)).map(lambda d: flight_line(**d)),
            )
        )
    )
    def test_whatever_the_lines_every_one_is_accounted_for(self, lines: list[str]) -> None:
        table = flight_table(*lines)
        split = data.split_by_month(table)
        months = [counts.summarise(month, reading_table()) for month in split.months.values()]
        year = counts.merge(months, split, data.split_by_month(reading_table()))
        assert year.flights.read == len(lines) == year.flights.valid + year.flights.rejected


class TestLedger:
    def test_it_must_balance(self) -> None:
        with pytest.raises(ValueError, match="3 lines read, but 1 valid and 1 rejected"):
            data.Ledger(3, 1, {"late": data.Reject(1, "x")})

    def test_totals_keep_the_first_example_and_sort_the_reasons(self) -> None:
        first = data.Ledger.of(3, 1, {"b": ["b1", "b2"]})
        second = data.Ledger.of(4, 2, {"b": ["b3"], "a": ["a1"]})
        total = data.Ledger.total([first, second])
        assert list(total.rejects.items()) == [("a", data.Reject(1, "a1")), ("b", data.Reject(3, "b1"))]
        assert (total.read, total.valid) == (7, 3)


class TestHours:
    def test_winter_and_summer_are_an_hour_apart(self) -> None:
        assert set(data.utc_hours(2013, 1, 15, 8)) == {datetime(2013, 1, 15, 13, tzinfo=UTC)}
        assert set(data.utc_hours(2013, 7, 15, 8)) == {datetime(2013, 7, 15, 12, tzinfo=UTC)}

    def test_one_local_hour_comes_twice_when_the_clocks_go_back(self) -> None:
        hours = [datetime(2013, 11, 3, hour, tzinfo=UTC) for hour in (5, 6)]
        assert list(data.utc_hours(2013, 11, 3, 1)) == hours


class TestMatch:
    def test_by_origin_and_hour(self) -> None:
        here, there, later = (
            reading(),
            reading(origin="JFK"),
            reading(hour="6", time_hour="2013-01-01T11:00:00Z"),
        )
        matched = counts.match_weather([flight(), flight(origin="JFK"), flight(origin="LGA")], [later, there, here])
        assert [match for _, match in matched] == [here, there, None]

    def test_the_hour_that_comes_twice_is_matched_by_utc(self) -> None:
        night = {"month": "11", "day": "3", "hour": "1"}
        times = ("2013-11-03T05:00:00Z", "2013-11-03T06:00:00Z")
        first, second = (reading(**night, time_hour=time) for time in times)
        late = flight(**night, **CANCELLED, minute="0", sched_dep_time="100", time_hour=times[1])
        assert counts.match_weather([late], [first, second]) == [(late, second)]

    @pytest.mark.parametrize(
        ("cells", "sky"),
        [
            ({}, counts.Sky.FAIR),
            ({"wind_speed": "20"}, counts.Sky.WINDY),
            ({"wind_speed": "NA"}, counts.Sky.FAIR),
            ({"wind_speed": "20", "precip": "0.01"}, counts.Sky.WET),
            ({"wind_speed": "20", "precip": "0.01", "visib": "2.5"}, counts.Sky.LOW_VISIBILITY),
            ({"visib": "3"}, counts.Sky.FAIR),
        ],
    )
    def test_the_first_condition_that_holds_names_the_sky(self, cells: dict[str, str], sky: counts.Sky) -> None:
        assert counts.Sky.of(reading(**cells)) is sky

    def test_no_reading_is_a_sky_of_its_own(self) -> None:
        assert counts.Sky.of(None) is counts.Sky.NO_READING


FLIGHTS = [
    flight(),
    flight(arr_time="834", arr_delay="15"),
    flight(dep_time="510", dep_delay="-5", arr_time="NA", arr_delay="NA"),
    flight(**CANCELLED),
]


class TestCounts:
    def test_a_tally_counts_what_happened(self) -> None:
        tally = counts.Tally.of(FLIGHTS)
        assert tally == counts.Tally(scheduled=4, departed=3, arrived=2, late=1, dep_minutes=-1, arr_minutes=26)
        assert (tally.cancelled, tally.no_arrival) == (1, 1)
        assert (tally.dep_delay, tally.arr_delay) == (-1 / 3, 13)

    def test_nothing_has_no_mean(self) -> None:
        assert counts.Tally.total([]) == counts.Tally.of([]) == counts.Tally()
        assert counts.Tally().dep_delay is None
        assert counts.Tally().arr_delay is None

    @given(st.lists(st.sampled_from(FLIGHTS)), st.lists(st.sampled_from(FLIGHTS)))
    def test_tallies_add_up_however_flights_are_dealt(self, some: list[data.Flight], rest: list[data.Flight]) -> None:
        assert counts.Tally.total([counts.Tally.of(some), counts.Tally.of(rest)]) == counts.Tally.of(some + rest)

    def test_a_month_is_counted_by_cell(self) -> None:
        lines = (flight_line(), flight_line(flight="7"), flight_line(carrier="AA"), "nonsense")
        month = counts.summarise(flight_table(*lines), reading_table(reading_line(precip="0.2")))
        assert {cell: tally.scheduled for cell, tally in month.cube.items()} == {
            (1, "AA", "EWR", "IAH", counts.Sky.WET): 1,
            (1, "UA", "EWR", "IAH", counts.Sky.WET): 2,
        }
        assert (month.flights.rejected, month.weather.valid) == (1, 1)
        assert counts.roll_up(month.cube, by=lambda cell: cell.origin)["EWR"].scheduled == 3

    def test_a_year_that_lost_a_month_is_refused(self) -> None:
        flights = data.split_by_month(flight_table(flight_line()))
        weather = data.split_by_month(reading_table(reading_line()))
        months = [counts.summarise(flights.months[month], weather.months[month]) for month in data.MONTHS]
        assert counts.merge(months, flights, weather).flights.valid == 1
        with pytest.raises(ValueError, match="the months account for 0 of 1 flights read"):
            counts.merge(months[1:], flights, weather)
