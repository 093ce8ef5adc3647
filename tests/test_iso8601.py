"""ISO 8601 text to numbers: many time stamps at once, and durations."""

import math
import time
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb.protocol.iso8601 import INVALID_TIMESTAMP, duration_seconds, format_timestamp, parse_timestamps

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NEW_YEAR_2024 = 1_704_067_200_000_000


def micros(moment: datetime) -> int:
    """Return microseconds since the epoch."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def parse(text: str) -> int:
    """Parse one time stamp by itself."""
    return int(parse_timestamps([text])[0])


def in_bulk(texts: list[str]) -> list[int]:
    """Parse time stamps as often over as it takes for them to be read at once."""
    times = parse_timestamps(texts * 16).tolist()
    assert times == times[: len(texts)] * 16
    return times[: len(texts)]


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("2026-11-23T00:36:12.345Z", datetime(2026, 11, 23, 0, 36, 12, 345_000, UTC)),
        ("1970-01-01T00:00:00.000Z", EPOCH),
        ("1969-12-31T23:59:59.999Z", EPOCH - timedelta(milliseconds=1)),
        ("0001-01-01T00:00:00.000Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("9999-12-31T23:59:59.999Z", datetime(9999, 12, 31, 23, 59, 59, 999_000, UTC)),
        ("2024-02-29T12:00:00.000Z", datetime(2024, 2, 29, 12, tzinfo=UTC)),
        ("2000-02-29T12:00:00.000Z", datetime(2000, 2, 29, 12, tzinfo=UTC)),
        ("2024-12-31T00:00:00.000Z", datetime(2024, 12, 31, tzinfo=UTC)),
        ("2024-01-01T00:00:00Z", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T00:00Z", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T00:00:00", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01 00:00:00.5", datetime(2024, 1, 1, microsecond=500_000, tzinfo=UTC)),
        ("2024-01-01T02:00:00+02:00", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2023-12-31T18:30:00.000-05:30", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T00:00:00-00:00", datetime(2024, 1, 1, tzinfo=UTC)),
        ("20240101T000000Z", datetime(2024, 1, 1, tzinfo=UTC)),
        ("2024-01-01T00:00:00.123456Z", datetime(2024, 1, 1, microsecond=123_456, tzinfo=UTC)),
        ("2024-01-01T00:00:00.123456789Z", datetime(2024, 1, 1, microsecond=123_456, tzinfo=UTC)),
        ("2024-01-01T00:00:00.999999999+00:00", datetime(2024, 1, 1, microsecond=999_999, tzinfo=UTC)),
    ],
)
def test_time_stamps(text: str, moment: datetime) -> None:
    """Every usual way to write a time is read; without a zone it is UTC; nanoseconds are cut off."""
    assert parse(text) == in_bulk([text])[0] == micros(moment)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2024-02-30T00:00:00.000Z",
        "2023-02-29T00:00:00.000Z",
        "1900-02-29T00:00:00.000Z",
        "2024-04-31T00:00:00.000Z",
        "2024-13-01T00:00:00.000Z",
        "2024-00-01T00:00:00.000Z",
        "2024-01-00T00:00:00.000Z",
        "2024-01-32T00:00:00.000Z",
        "2024-01-01T25:00:00.000Z",
        "2024-01-01T24:00:01.000Z",
        "2024-01-01T00:60:00.000Z",
        "2024-01-01T00:00:61.000Z",
        "0000-01-01T00:00:00.000Z",
        "0000-12-31T00:00:00Z",
        "10000-01-01T00:00:00Z",
        "2024-01-01",
        "20240101",
        "2024-01-01T",
        "T00:00:00Z",
        "00:00:00Z",
        "2024-01-01T00:00:00.000Zx",
        "x2024-01-01T00:00:00.000Z",
        " 2024-01-01T00:00:00.000Z",
        "2024-01-01T00:00:00.000Z\n",
        "2024-01-01T00:00:00.000\0",
        "2024-01-01T00:00:00.00\0Z",
        "2024-01-01x00:00:00.000Z",
        "2024/01/01T00:00:00.000Z",
        "2024-01-01T00:00:00.0-1Z",
        "２０２４-01-01T00:00:00.000Z",
        "2024-01-01T00:00:00.00０Z",
        "1704067200000",
        "2024-01-01T00:00:00." + "0" * 44 + "garbage",
        "2024-01-01T00:00:00.000Z" * 2,
    ],
)
def test_what_is_no_time_stamp(text: str) -> None:
    """Dates that do not exist, dates alone and other text are no time stamps, alone or among others."""
    assert parse(text) == INVALID_TIMESTAMP
    good = "2024-01-01T00:00:00.000Z"
    assert in_bulk([good, text, good]) == [NEW_YEAR_2024, INVALID_TIMESTAMP, NEW_YEAR_2024]


@pytest.mark.parametrize(
    "text", ["0001-01-01T00:00:00+00:01", "9999-12-31T23:59:59-00:01", "0001-01-01T00:00:00.000+23:59"]
)
def test_offsets_cannot_leave_the_calendar(text: str) -> None:
    """A time that in UTC lies before the year 1 or after 9999 could not be shown, so it is none."""
    assert parse(text) == INVALID_TIMESTAMP


def test_no_text_gives_no_numbers() -> None:
    """An empty list gives an empty int64 array."""
    result = parse_timestamps([])
    assert (len(result), result.dtype.name) == (0, "int64")


def test_lengths_that_only_add_up_are_not_taken_for_the_common_shape() -> None:
    """Stamps of other lengths whose sum is that of common ones are read one by one."""
    texts = ["2024-01-01T00:00:00Z", "2024-01-01T00:00:00.0000000Z"]
    assert sum(map(len, texts)) == 48
    assert in_bulk(texts) == [NEW_YEAR_2024] * 2
    shifted = ["2024-01-01T00:00:00.000Z2", "024-01-01T00:00:00.000Z"]
    assert in_bulk(shifted) == [INVALID_TIMESTAMP] * 2


@st.composite
def near_stamps(draw: st.DrawFn) -> tuple[str, int]:
    """Draw a text of the common shape that may be just beyond a limit, and what it should give."""
    parts = (
        draw(st.integers(0, 9999)),
        draw(st.integers(0, 13)),
        draw(st.integers(0, 32)),
        draw(st.integers(0, 23) | st.just(25)),
        draw(st.integers(0, 60)),
        draw(st.integers(0, 61)),
        draw(st.integers(0, 999)),
    )
    year, month, day, hour, minute, second, milli = parts
    text = f"{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z"
    try:
        return text, micros(datetime(year, month, day, hour, minute, second, milli * 1_000, UTC))
    except ValueError:
        return text, INVALID_TIMESTAMP


@given(st.lists(near_stamps(), max_size=20))
@settings(max_examples=100, deadline=None)
def test_many_at_once_are_read_as_one_by_one(stamps: list[tuple[str, int]]) -> None:
    """In bulk, alone and beside other shapes, a stamp gives what Python's calendar says."""
    texts = [text for text, _ in stamps]
    expected = [value for _, value in stamps]
    assert in_bulk(texts) == parse_timestamps(texts).tolist() == expected
    assert [parse(text) for text in texts] == expected
    assert in_bulk([*texts, "2024-01-01T00:00Z"]) == [*expected, NEW_YEAR_2024]


@given(
    st.lists(st.integers(0, 59_999), min_size=1, max_size=20), st.integers(0, 19), st.sampled_from("0:69/Zx")
)
@settings(max_examples=100, deadline=None)
def test_stamps_of_one_minute_are_read_as_one_by_one(millis: list[int], place: int, wrong: str) -> None:
    """Those of one minute, which are read together, are right; so are all beside one that is no stamp."""
    minute_us = NEW_YEAR_2024 + 59 * 60_000_000
    expected = [minute_us + milli * 1_000 for milli in millis]
    texts = [format_timestamp(epoch_us) for epoch_us in expected]
    assert in_bulk(texts) == expected
    for at in range(17, 24):
        spoilt = list(texts)
        text = spoilt[place % len(texts)]
        spoilt[place % len(texts)] = text[:at] + wrong + text[at + 1 :]
        assert in_bulk(spoilt) == [parse(text) for text in spoilt]


@given(st.lists(st.text(max_size=30) | near_stamps().map(lambda pair: pair[0]), max_size=6))
@settings(max_examples=100, deadline=None)
def test_any_text_is_read_in_a_list_as_by_itself(texts: list[str]) -> None:
    """No text raises, and its company does not matter."""
    assert in_bulk(texts) == [parse(text) for text in texts]


@given(
    st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30)),
    st.integers(-1439, 1439),
    st.sampled_from("T "),
)
@settings(max_examples=100, deadline=None)
def test_offsets_are_taken_off(moment: datetime, minutes: int, separator: str) -> None:
    """A stamp with an offset names the same moment as in UTC."""
    there = moment + timedelta(minutes=minutes)
    offset = f"{'-' if minutes < 0 else '+'}{abs(minutes) // 60:02}:{abs(minutes) % 60:02}"
    assert parse(there.isoformat(separator) + offset) == micros(moment.replace(tzinfo=UTC))


@given(st.datetimes().map(lambda moment: micros(moment.replace(tzinfo=UTC))))
@settings(max_examples=100, deadline=None)
def test_what_was_written_is_read_back(epoch_us: int) -> None:
    """Written time stamps are of the common shape in every year, and keep the millisecond."""
    text = format_timestamp(epoch_us)
    assert len(text) == 24
    assert parse(text) == epoch_us // 1_000 * 1_000


@pytest.mark.parametrize(
    ("epoch_us", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (-1, "1969-12-31T23:59:59.999Z"),
        (999, "1970-01-01T00:00:00.000Z"),
        (NEW_YEAR_2024 + 1_999, "2024-01-01T00:00:00.001Z"),
        (micros(datetime(1, 1, 1, tzinfo=UTC)), "0001-01-01T00:00:00.000Z"),
        (micros(datetime(987, 6, 5, tzinfo=UTC)), "0987-06-05T00:00:00.000Z"),
    ],
)
def test_time_stamps_are_written_as_javascript_does(epoch_us: int, text: str) -> None:
    """Milliseconds are cut, not rounded, and years have four digits."""
    assert format_timestamp(epoch_us) == text


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("PT0S", 0.0),
        ("PT90S", 90.0),
        ("PT1H30M", 5_400.0),
        ("P1D", 86_400.0),
        ("P1DT2H3M4S", 93_784.0),
        ("P2W", 1_209_600.0),
        ("P1W2D", 777_600.0),
        ("PT0.5S", 0.5),
        ("PT0,5S", 0.5),
        ("PT1.5H", 5_400.0),
        ("P0.5D", 43_200.0),
        ("-PT5S", -5.0),
        ("+PT5S", 5.0),
        ("-P1DT1S", -86_401.0),
        ("PT36H", 129_600.0),
        ("PT0007S", 7.0),
    ],
)
def test_durations(text: str, seconds: float) -> None:
    """Weeks, days, hours, minutes and seconds have a length; fractions take a point or a comma."""
    assert duration_seconds(text) == seconds


@pytest.mark.parametrize(
    "text",
    [
        "",
        "P",
        "PT",
        "P1DT",
        "T1S",
        "1S",
        "PT1",
        "PT.5S",
        "PT5.S",
        "P1Y",
        "P1M",
        "P1Y2M3DT4H",
        "P1H",
        "PT1D",
        "PT1S1M",
        "P1D1D",
        "PT1S ",
        " PT1S",
        "PT1S\n",
        "pt1s",
        "PT-1S",
        "--PT1S",
        "PT1e3S",
        "PT١S",
        "soon",
        "PT1S\0",
        "PT" + "0" * 196 + "1Sgarbage",
        "PT" + "9" * 400 + "S",
    ],
)
def test_durations_without_a_length(text: str) -> None:
    """Years and months have no fixed length, and other text has none at all: NaN."""
    assert math.isnan(duration_seconds(text))


@given(st.text(max_size=40) | st.from_regex(r"[-+]?P[\dYMWDTHS.,]{0,12}\Z"))
@settings(max_examples=100, deadline=None)
def test_no_text_makes_a_duration_raise(text: str) -> None:
    """Any text is a number of seconds or NaN, never infinite."""
    assert not math.isinf(duration_seconds(text))


@given(
    st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(0, 999), st.integers(0, 999_999)
)
@settings(max_examples=50, deadline=None)
def test_durations_add_up(weeks: int, days: int, hours: int, minutes: int, millis: int) -> None:
    """A duration is the sum of its parts."""
    text = f"P{weeks}W{days}DT{hours}H{minutes}M{millis / 1_000:.3f}S"
    length = timedelta(weeks=weeks, days=days, hours=hours, minutes=minutes, milliseconds=millis)
    assert duration_seconds(text) == pytest.approx(length.total_seconds())


@pytest.mark.parametrize(
    "text",
    ["PT" + "1" * 10**6, "PT" + "1." * 10**6, "P" + "1D" * 10**6, "PT" + "1" * 10**6 + "S", "-" * 10**6],
    ids=["digits", "points", "days", "seconds", "signs"],
)
def test_hostile_text_costs_little(text: str) -> None:
    """A megabyte of digits is dismissed at once, as duration and as time stamp."""
    start = time.process_time()
    assert math.isnan(duration_seconds(text))
    assert parse(text) == INVALID_TIMESTAMP
    assert parse("2024-01-01T00:00:00." + text) == INVALID_TIMESTAMP
    assert time.process_time() - start < 1.0
