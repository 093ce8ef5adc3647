"""Block continuity: what is missing is found, what is not is not, however blocks come."""

from __future__ import annotations

import random
from collections.abc import Iterable, Sequence
from itertools import pairwise

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from msgspec import Struct

from chaosnb.devnet.agents import Parameters
from chaosnb.devnet.model import Model
from chaosnb.ingest.chain import BlockChain, Hole
from chaosnb.protocol.events import BlockProposal, MemeContent, Producer
from chaosnb.protocol.iso8601 import parse_timestamps

LATENESS_US = 2_000_000


class Node(Struct, frozen=True):
    """A block of a tree, with the time at which it is proposed."""

    name: str
    parent: str
    height: int
    at_us: int

    @property
    def proposal(self) -> BlockProposal:
        return BlockProposal(
            self.name, self.parent, self.height, Producer("p", "k"), [], MemeContent("text", "gm"), ""
        )


def line(heights: Iterable[int]) -> list[Node]:
    """A chain in which every height's block is named after it, one a second."""
    return [Node(f"b{height}", f"b{height - 1}", height, height * 1_000_000) for height in heights]


def fed(nodes: Iterable[Node], **limits: int) -> BlockChain:
    """A chain that has received these blocks, with the feed's time at the newest of them."""
    chain = BlockChain(lateness_us=LATENESS_US, **limits)
    now_us = 0
    for node in nodes:
        chain.feed(node.proposal, node.at_us)
        now_us = max(now_us, node.at_us)
        chain.advance(now_us)
    return chain


def heights(chain: BlockChain) -> list[list[int]]:
    """The heights missing, hole by hole."""
    return [list(hole.heights) for hole in chain.holes]


def test_a_chain_without_a_hole_has_none() -> None:
    """Its first block's parent was proposed before anybody listened."""
    assert fed(line(range(10, 30))).doubts == []


def test_a_jump_is_one_hole_with_the_heights_in_between() -> None:
    """It spans from the block below to the child whose parent never came."""
    chain = fed(line([4, 5, 8, 9, 10]))
    assert chain.holes == [Hole(5_000_000, 8_000_000, "height_jump", range(6, 8))]


def test_of_several_children_the_earliest_ends_the_hole() -> None:
    """What is missing was proposed before any of them."""
    children = [Node("late", "b6", 7, 7_500_000), Node("early", "b6", 7, 7_000_000)]
    chain = fed([*line([4, 5]), *children, *line([8, 9, 10])])
    assert [hole.end_us for hole in chain.holes] == [7_000_000, 8_000_000]


def test_a_fork_of_which_the_other_block_was_received_is_an_unknown_parent() -> None:
    """The height is there, the block is not."""
    fork = Node("other", "b5", 6, 6_000_000)
    chain = fed([*line([4, 5]), fork, *line([7, 8, 9])])
    assert chain.holes == [Hole(5_000_000, 7_000_000, "unknown_parent", range(6, 7))]


def test_nothing_is_said_before_the_parent_can_no_longer_come_in_time() -> None:
    """Until then it is a doubt, and no hole."""
    chain = fed(line([4, 6, 7]))
    assert chain.holes == []
    assert [list(hole.heights) for hole in chain.doubts] == [[5]]
    chain.advance(8_000_000)
    assert heights(chain) == [[5]]


def test_a_parent_that_comes_in_time_leaves_nothing_behind() -> None:
    """Out of order within the lateness is no loss."""
    chain = fed(line([4, 6, 5, 7, 8, 9]))
    assert (chain.doubts, chain.closed) == ([], 0)


def test_a_late_block_closes_its_hole_and_is_counted() -> None:
    """A closed hole is no hole any more."""
    chain = fed(line([4, 6, 7, 8, 9]))
    before = chain.version
    late = line([5])[0]
    chain.feed(late.proposal, late.at_us)
    assert (chain.holes, chain.closed) == ([], 1)
    assert chain.version > before


@pytest.mark.parametrize(("late", "left"), [(6, [[7]]), (7, [[6]])])
def test_a_late_block_narrows_the_hole_that_it_leaves(late: int, left: list[list[int]]) -> None:
    """Of two missing in a row one comes: the other is still missing."""
    chain = fed([*line([4, 5, 8, 9, 10]), *line([late, 11, 12, 13])])
    assert heights(chain) == left


def test_reproposals_forks_and_duplicates_are_no_holes() -> None:
    """Siblings share a parent that was received, or that was proposed before the watch began."""
    first, again = Node("a", "before", 5, 0), Node("a2", "before", 5, 100)
    other = Node("a3", "another one before", 5, 200)
    child, of_unseen = Node("c", "a2", 6, 300), Node("d", "proposed just before", 6, 400)
    chain = fed([first, again, first, other, child, of_unseen, child, *line([7])[:0]])
    chain.advance(10**12)
    assert chain.holes == []


def test_after_a_pause_what_came_meanwhile_is_not_missing() -> None:
    """Proposals that nobody asked for are not lost; what is lost after that is."""
    chain = fed(line([4, 5]))
    chain.pause()
    of_unseen = Node("child", "a sibling of b20 from before", 21, 21_000_000)
    for node in [*line([20]), of_unseen, *line([21, 23, 24, 25])]:
        chain.feed(node.proposal, node.at_us)
    chain.advance(30_000_000)
    assert heights(chain) == [[22]]


@pytest.mark.parametrize("late", [[7], [8], [6, 7], [7, 8]])
def test_after_a_pause_a_block_from_within_it_proves_nothing(late: list[int]) -> None:
    """It comes late or again, from among those that were left out on purpose; later holes are found."""
    chain = fed(line([4, 5]))
    chain.pause()
    for node in [*line([9]), *line(late), *line([10, 12, 13, 14])]:
        chain.feed(node.proposal, node.at_us)
    chain.advance(30_000_000)
    assert heights(chain) == [[11]]


def test_after_a_pause_a_made_up_block_hides_no_hole_for_long() -> None:
    """Neither by its height nor by its time."""
    chain = fed(line([4, 5]))
    chain.pause()
    forged = Node("forged", "nothing", 10**15, 253_402_300_799_000_000)
    for node in [forged, *line([20, 21])]:
        chain.feed(node.proposal, node.at_us)
    chain.advance(21_000_000)
    for node in line([24, 25, 27, 28, 29, 30]):
        chain.feed(node.proposal, node.at_us)
    chain.advance(40_000_000)
    assert range(26, 27) in [hole.heights for hole in chain.holes]


@pytest.mark.parametrize(
    "hostile",
    [
        [Node("x", "x", 7, 7_000_000)],
        [Node("x", "y", 7, 7_000_000), Node("y", "x", 6, 7_000_000), Node("y", "x", 9, 0)],
        [Node("", "", -(2**63), 7_000_000), Node("z", "", 2**63 - 1, -(2**60))],
        [Node("\ud800" * 1_000, "b5", 6, 7_000_000), Node("u", "\ud800" * 1_000, 7, 7_000_000)],
        [Node("deep", "b5", -5, 7_000_000), Node("deeper", "b-7", -6, 7_000_000)],
    ],
    ids=["self-parent", "cycle", "extremes", "huge hash", "negative"],
)
def test_nonsense_does_no_harm_to_what_follows(hostile: list[Node]) -> None:
    """The hole of the honest chain is found all the same, and the next blocks are no holes."""
    chain = fed([*line([4, 5]), *hostile, *line([6, 7, 9, 10, 11, 12])])
    assert [8] in [hole for hole in map(list, (h.heights[:10] for h in chain.holes)) if hole]
    assert all(10 not in hole.heights[:10] for hole in chain.holes if hole.heights.stop < 2**62)


def test_a_jump_beyond_measure_costs_nothing() -> None:
    """Only its bounds are kept; the chain that goes on below it is followed as before."""
    forged = Node("forged", "nothing", 10**15, 6_000_000)
    chain = fed([*line([4, 5]), forged, *line([6, 7, 9, 10, 11])])
    assert [hole.heights.stop for hole in chain.holes] == [10**15, 9]


def test_a_child_from_the_year_9999_is_due_all_the_same() -> None:
    """Its stamp is taken for no later than the feed's time."""
    chain = BlockChain(lateness_us=LATENESS_US)
    for node in [*line([4, 5]), Node("b7", "b6", 7, 253_402_300_799_000_000)]:
        chain.feed(node.proposal, node.at_us)
    chain.advance(7_000_000)
    chain.advance(9_000_000)
    assert [hole.end_us for hole in chain.holes] == [7_000_000]


def test_what_was_forgotten_proves_nothing() -> None:
    """A child of a block that is no longer remembered has no missing parent."""
    chain = fed(line(range(1, 100)), blocks=10)
    chain.feed(Node("late child", "b50", 51, 100_000_000).proposal, 100_000_000)
    chain.advance(10**12)
    assert chain.doubts == []


def test_blocks_and_holes_are_bounded_and_no_hole_is_lost() -> None:
    """Of more holes than are listed, the oldest become one that spans them."""
    every_third_missing = [height for height in range(1, 3_001) if height % 3]
    chain = fed(line(every_third_missing), blocks=50, holes=20)
    chain.advance(3_010_000_000)
    holes = chain.holes
    assert len(holes) == 21
    assert sum(hole.joined for hole in holes) == 999
    assert holes[0].heights.start == 3
    assert holes[0].start_us == 2_000_000
    assert holes[0].end_us <= holes[1].end_us


# -- against the truth


def provable(received: Sequence[Node], tree: Sequence[Node]) -> set[str]:
    """The missing blocks that have a child among those received, by the tree itself.

    One that is not above some block that was received may be from before the watch.
    """
    wanted = {node.parent for node in received} - {node.name for node in received}
    lowest = min((node.height for node in received), default=0)
    return {node.name for node in tree if node.name in wanted and node.height > lowest}


@st.composite
def trees(draw: st.DrawFn) -> list[Node]:
    """Blocks in the order of their proposal: each height is decided before the next, with forks."""
    nodes: list[Node] = []
    heads, name, at_us = ["genesis"], 0, 0
    for height in range(draw(st.integers(0, 3)), draw(st.integers(4, 24))):
        # The next height builds on one of these; the same height may be proposed again.
        head, siblings = draw(st.sampled_from(heads)), []
        for _ in range(draw(st.sampled_from([1, 1, 1, 2, 3]))):
            at_us += draw(st.integers(0, 1_000_000))
            name += 1
            nodes.append(Node(f"{name:04x}", head, height, at_us))
            siblings.append(nodes[-1].name)
        heads = siblings
    return nodes


def span_of(hole: Hole) -> int:
    """The height of the one parent that a hole is about."""
    return hole.heights[-1]


@settings(deadline=None, max_examples=200)
@given(trees(), st.randoms(use_true_random=False), st.data())
def test_every_hole_that_can_be_proved_is_found_and_no_other(
    tree: list[Node], rng: random.Random, data: st.DataObject
) -> None:
    """Recall and precision are 1 with drops, duplicates, disorder within the lateness, and a late start."""
    watched = tree[data.draw(st.integers(0, len(tree) - 1)) :]
    kept = [node for node in watched if rng.random() > 0.3]
    sent = kept + [node for node in kept if rng.random() < 0.2]
    received = sorted(sent, key=lambda node: node.at_us + rng.random() * LATENESS_US)
    chain = BlockChain(lateness_us=LATENESS_US)
    now_us = 0
    by_name = {node.name: node for node in tree}
    for node in received:
        chain.feed(node.proposal, node.at_us)
        now_us = max(now_us, node.at_us)
        chain.advance(now_us)
    chain.advance(now_us + LATENESS_US)
    found = sorted(map(span_of, chain.holes))
    assert found == sorted(by_name[name].height for name in provable(received, tree))
    assert chain.closed == 0
    seen = {node.height for node in received}
    for hole in chain.holes:
        assert hole.start_us <= hole.end_us
        assert (hole.cause == "unknown_parent") == (span_of(hole) in seen)
        assert not seen & {*hole.heights[:-1]}


@settings(deadline=None, max_examples=150)
@given(trees(), st.randoms(use_true_random=False), st.data())
def test_what_was_left_out_in_a_pause_is_never_missing_and_what_is_lost_after_it_is(
    tree: list[Node], rng: random.Random, data: st.DataObject
) -> None:
    """Though some of what was left out comes late, or again, at any time after the pause."""
    assume(len(tree) > 1)
    stop = data.draw(st.integers(1, len(tree) - 1))
    start = data.draw(st.integers(1, stop))
    chain = fed(tree[:start])
    chain.pause()
    first, *rest = tree[stop:]
    kept = [node for node in rest if rng.random() > 0.3]
    late = [node for node in tree[:stop] if rng.random() > 0.5]
    after = [first, *rng.sample([*kept, *late], len(kept) + len(late))]
    for node in after:
        chain.feed(node.proposal, node.at_us)
    chain.advance(10**12)
    wanted = {node.parent for node in after} - {node.name for node in after}
    lost = [node.height for node in rest if node.name in wanted and node.height > first.height]
    assert sorted(map(span_of, chain.holes)) == lost


@settings(deadline=None, max_examples=100)
@given(trees(), st.randoms(use_true_random=False))
def test_in_the_end_any_order_gives_the_holes_of_what_came(tree: list[Node], rng: random.Random) -> None:
    """However late the others come: what is listed then is missing, and closed holes are not listed."""
    kept = [tree[0], *(node for node in tree[1:] if rng.random() > 0.3)]
    received = [kept[0], *rng.sample(kept[1:], len(kept) - 1)]
    chain = fed(received)
    chain.advance(10**12)
    by_name = {node.name: node for node in tree}
    found = sorted(map(span_of, chain.holes))
    assert found == sorted(by_name[name].height for name in provable(received, tree))


def proposals(seed: int) -> list[Node]:
    """A devnet's proposals, with many forks and rejected blocks."""
    model = Model(seed=seed, rate=400.0, parameters=Parameters(fork_probability=0.3, quorum=0.6))
    found = [event for event in model.step(12_000_000) if isinstance(event, BlockProposal)]
    times = parse_timestamps([event.timestamp for event in found]).tolist()
    return [
        Node(event.block_hash, event.parent_hash, event.height, at_us)
        for event, at_us in zip(found, times, strict=True)
    ]


def test_a_devnet_without_faults_has_no_hole_and_one_with_drops_exactly_the_provable_ones() -> None:
    """Over fifty seeds, with forks, reproposals, disorder and duplicates; listened to from the midst on."""
    missing = 0
    for seed in range(50):
        rng = random.Random(seed)
        tree = proposals(seed)
        heights_seen = [node.height for node in tree]
        assert any(low == high for low, high in pairwise(heights_seen)), "no fork: the test is too easy"
        watched = tree[rng.randrange(len(tree) // 2) :]
        shuffled = sorted(watched * 2, key=lambda node: node.at_us + rng.random() * LATENESS_US)
        chain = fed(shuffled)
        chain.advance(2**62)
        assert chain.doubts == []
        assert chain.closed == 0
        lost = {node.name for node in watched if rng.random() < 0.2}
        dropped = [node for node in shuffled if node.name not in lost]
        chain = fed(dropped)
        chain.advance(2**62)
        truth = provable(dropped, tree)
        by_name = {node.name: node for node in tree}
        assert sorted(map(span_of, chain.holes)) == sorted(by_name[name].height for name in truth)
        missing += len(truth)
    assert missing > 50
