"""Alliances: who is in which, and their figure."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from chaosnb import figures
from chaosnb.analysis.alliances import memberships
from chaosnb.figures.network import spring_layout
from chaosnb.protocol.schema import TABLES
from chaosnb.tables.table import Table
from tests.figure_texts import HOSTILE, assert_only_text

EMPTY = Table(TABLES["alliance_update"]).snapshot()


def updates(*rows: tuple[str, str, float]) -> pd.DataFrame:
    """Updates as (alliance, members' letters, duration in seconds), a minute apart."""
    alliance, members, duration_s = zip(*rows, strict=True)
    return pd.DataFrame(
        {
            "timestamp": pd.date_range("2026-01-01", periods=len(rows), freq="min", tz="UTC"),
            "alliance_id": alliance,
            "members": [[{"id": one, "role": "member"} for one in some] for some in members],
            "purpose": "fun",
            "duration_s": duration_s,
        }
    )


def found(frame: pd.DataFrame, at: str | None = None) -> dict[str, str]:
    members = memberships(frame, at)
    return {str(name): "".join(group["agent_id"]) for name, group in members.groupby("alliance_id")}


def test_an_alliance_has_the_members_of_its_last_update() -> None:
    """By time, whatever order the rows have; a moment shows what stood then and was not over."""
    frame = updates(("x", "ab", 60), ("y", "cd", float("nan")), ("x", "abe", 3600))
    assert found(frame) == found(frame.iloc[::-1]) == {"x": "abe", "y": "cd"}
    assert found(frame, "2026-01-01T00:00:30Z") == {"x": "ab"}
    assert found(frame, "2026-01-01T00:01:30Z") == {"y": "cd"}
    assert found(frame, "2026-01-01T02:00:00Z") == {"y": "cd"}
    assert found(frame, "2025-01-01") == {}
    for at in ("soon", ""):
        with pytest.raises(ValueError, match="at"):
            memberships(frame, at)


def test_months_are_counted_by_the_calendar() -> None:
    """Where the frame has the duration as it was sent."""
    frame = updates(("x", "ab", float("nan")), ("y", "cd", float("nan"))).assign(duration=["P1M", "for ever"])
    assert found(frame, "2026-01-31T23:00:00Z") == {"x": "ab", "y": "cd"}
    assert found(frame, "2026-02-01T01:00:00Z") == {"y": "cd"}


def test_a_layout_is_finite_repeatable_and_brings_friends_together() -> None:
    """Two groups of five: members of one are nearer to each other than to the others."""
    pairs = [(a, b) for group in (range(5), range(5, 10)) for a in group for b in group if a < b]
    at = spring_layout(10, np.array(pairs))
    np.testing.assert_array_equal(at, spring_layout(10, np.array(pairs)))
    assert np.abs(at).max() <= 1
    far = np.linalg.norm(at[:, None] - at[None], axis=2)
    assert far[:5, :5].max() < far[:5, 5:].min()
    for nodes in (0, 1, 3):
        assert np.isfinite(spring_layout(nodes, np.zeros((0, 2), dtype=np.int64))).all()


def test_the_figure_joins_alliances_with_their_members() -> None:
    """A line a membership; roles and purposes on hover; only the newest alliances."""
    frame = updates(("x", "ab", 1), ("y", "bc", 1), ("z", "de", 1))
    figure = figures.alliances(frame)
    lines, groups, agents = figure.data
    assert len(lines.x) == 3 * 6
    assert (len(groups.x), len(agents.x)) == (3, 5)
    assert agents.text == ("a", "b", "c", "d", "e")
    assert agents.marker.size[1] > agents.marker.size[0]
    assert "member of x" in agents.hovertext[1]
    assert "member of y" in agents.hovertext[1]
    assert figures.alliances(frame, newest=1).layout.title.text == "Alliances: newest 1 of 3, with 2 agents"


def test_without_alliances_the_figure_says_so_and_a_wrong_frame_is_an_error() -> None:
    """The error names the table that has the columns."""
    assert [note.text for note in figures.alliances(EMPTY).layout.annotations] == ["no data"]
    with pytest.raises(ValueError, match=r"s\.alliance_update"):
        figures.alliances(pd.DataFrame({"timestamp": [pd.Timestamp(0)]}))


def test_text_of_members_is_only_text() -> None:
    """Names, roles and purposes."""
    frame = updates((HOSTILE, "ab", 1)).assign(purpose=HOSTILE)
    frame.at[0, "members"] = [{"id": HOSTILE, "role": HOSTILE}] * 9
    assert_only_text(figures.alliances(frame))
