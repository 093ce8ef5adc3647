"""Who was at work when, how long absences lasted, and who voted in which status."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chaosnb import analysis
from tests.engines import devnet, holds_to_the_rules, same_everywhere

STATUSES = ("active", "inactive", "maintenance", "asleep")


def statuses(*rows: tuple[float, str, str]) -> pd.DataFrame:
    """Statuses as (second, agent, status)."""
    second, agent, status = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "timestamp": pd.to_datetime([s * 1e6 for s in second], unit="us", utc=True).astype(
                "datetime64[us, UTC]"
            ),
            "agent_id": agent,
            "status": status,
            "reason": "why",
            "expected_duration_s": 10.0,
        }
    )


ROWS = statuses(
    (0, "a", "active"),
    (0, "b", "maintenance"),
    (60, "a", "inactive"),
    (75, "a", "active"),
    (90, "b", "active"),
    (95, "b", "asleep"),
)


def test_uptime_is_the_share_of_known_time() -> None:
    """A status lasts until the next one, the last one until the end."""
    found = same_everywhere(analysis.agent_uptime, ROWS, until="1970-01-01T00:01:40Z").set_index("agent_id")
    columns = ["active_s", "inactive_s", "maintenance_s", "other_s", "absences", "longest_s", "status"]
    assert found.loc["a", columns].tolist() == [85.0, 15.0, 0.0, 0.0, 1, 15.0, "active"]
    assert found.loc["b", columns].tolist() == [5.0, 0.0, 90.0, 5.0, 2, 90.0, "asleep"]
    assert found["uptime"].tolist() == [0.05, 0.85]
    assert analysis.agent_uptime(ROWS).set_index("agent_id").loc["a", "active_s"] == 80.0
    with pytest.raises(ValueError, match="until"):
        analysis.agent_uptime(ROWS, until="soon")


def test_a_clock_that_is_far_off_makes_nobody_absent_for_years() -> None:
    """Last statuses last until the newest row of a clock that is believed."""
    far = pd.concat([ROWS, statuses((10**9, "c", "active"))], ignore_index=True).assign(seq=range(7))
    arrived = far["timestamp"].where(far["agent_id"] != "c", far["timestamp"].iloc[5])
    told = far.assign(received_at=arrived)
    found = same_everywhere(analysis.agent_uptime, told).set_index("agent_id")
    assert found.loc[["a", "b"], "active_s"].tolist() == [80.0, 5.0]
    assert same_everywhere(analysis.absences, told)["over"].tolist() == [1, 1, 0]
    assert analysis.agent_uptime(far).set_index("agent_id").loc["a", "active_s"] > 9e8


def test_absences_tell_how_long_they_were_meant_to_be() -> None:
    """One that is not over is not late."""
    found = same_everywhere(analysis.absences, ROWS, until="1970-01-01T00:01:40Z")
    columns = ["agent_id", "status", "lasted_s", "over"]
    wanted = [["b", "maintenance", 90.0, 1], ["a", "inactive", 15.0, 1], ["b", "asleep", 5.0, 0]]
    assert found[columns].to_numpy().tolist() == wanted
    np.testing.assert_array_equal(found["late_s"], [80.0, 5.0, np.nan])


EVENTS = st.lists(
    st.tuples(st.integers(0, 50), st.sampled_from("ab"), st.sampled_from(STATUSES)),
    min_size=1,
    max_size=15,
    unique_by=lambda row: row[:2],
)


@settings(max_examples=25, deadline=None)
@given(EVENTS, st.integers(0, 60))
def test_all_time_since_the_first_status_is_accounted_for(
    rows: list[tuple[int, str, str]], until: int
) -> None:
    """As a clock that ticks each second would count it."""
    found = analysis.agent_uptime(statuses(*rows), until=str(pd.Timestamp(until, unit="s", tz="UTC")))
    for row in found.itertuples():
        mine = sorted(event for event in rows if event[1] == row.agent_id)
        ticks = [[s for t, _, s in mine if t <= tick][-1] for tick in range(mine[0][0], until)]
        counted = [ticks.count(status) for status in STATUSES]
        assert [row.active_s, row.inactive_s, row.maintenance_s, row.other_s] == counted


def test_who_is_away_does_not_vote() -> None:
    """On a devnet: nearly nobody that is away, and of the others as many as take part."""
    model, tables = devnet(seconds=600)
    found = same_everywhere(
        analysis.participation_by_status, tables["block_validation"], tables["agent_status"]
    ).set_index("status")
    share = found["participation"]
    # Who leaves after a block's first vote may have voted before, and who comes back may vote yet.
    assert (share[["inactive", "maintenance"]] < 0.15).all()
    assert found.loc["active", "low"] - 0.02 < model.truth.parameters.participation < 1
    assert (found.loc[["inactive", "maintenance"], "difference_high"] < -0.5).all()
    assert found.loc["active", ["difference", "difference_low", "difference_high"]].tolist() == [0, 0, 0]
    votes = tables["block_validation"]
    assert found["chances"].sum() == votes["block_hash"].nunique() * votes["validator_id"].nunique()
    assert found["voted"].sum() == len(votes)


def test_empty_tables_and_wrong_ones() -> None:
    """Empty ones give the columns; wrong ones an error that names the table."""
    holds_to_the_rules(analysis.agent_uptime, "agent_status")
    holds_to_the_rules(analysis.absences, "agent_status")
    holds_to_the_rules(analysis.participation_by_status, "block_validation", "agent_status")
