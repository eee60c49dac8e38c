"""What ranks tell each other of their rollouts: one message, from which everything is what each has given."""

from dataclasses import replace

import pytest
import torch
from support.bugs import Bug, seeded, with_result
from support.hand_made import rollout
from support.ranks import ThreadRank, on_ranks

from pg_agents.data import shares
from pg_agents.data.shares import gathered, own, whole_of

STEP, END = (1, 0, 0.5, ""), (2, 1, -2.0, "T")


def tensors_of(number):
    """Return what a rank gives: all kinds, of odd numbers of bytes, empty, strided, and of sizes of its own."""
    wide = torch.arange(12, dtype=torch.float32).view(3, 4) + number
    return [
        torch.arange(3 + number, dtype=torch.uint8),
        wide[:, : 1 + number],
        torch.tensor([True, False, True])[number:],
        torch.tensor(7 - number),
        torch.ones(1, 1, dtype=torch.float64).expand(2, 1) * (number + 1) / 3,
        torch.as_strided(torch.ones(1), (1, 1), (0, 0)),
        torch.zeros(0, 2, dtype=torch.float64),
        torch.full((2, 1, 2), number - 2**40, dtype=torch.int64),
        torch.full((number,), 0.1, dtype=torch.bfloat16),
    ]


@pytest.mark.parametrize("count", [2, 3])
def test_all_that_is_gathered_is_what_each_has_given(count):
    given = [tensors_of(number) for number in range(count)]
    for found in on_ranks(count, lambda rank: gathered(rank, tensors_of(rank.number))):
        assert len(found) == len(given[0])
        for kind, parts in enumerate(found):
            expected = [tensors[kind] for tensors in given]
            assert [part.dtype for part in parts] == [one.dtype for one in expected]
            assert [part.shape for part in parts] == [one.shape for one in expected]
            assert all(torch.equal(part, one) for part, one in zip(parts, expected, strict=True))


def mine(number):
    """Return the rollout of a rank: the second has fewer rows, more columns and another number of episodes."""
    columns = [[[STEP, STEP, END]], [[STEP, END], [END, None]]][number]
    returns = torch.tensor([[1.0], [2.0, 3.0]][number], dtype=torch.float64)
    ends = {"episode_returns": returns, "episode_lengths": torch.tensor([[3], [2, 1]][number])}
    groups = torch.tensor([[5], [5, 6]][number])
    return replace(rollout(*columns), **ends, stop_reasons=[("eos",), ("länge", "")][number], group_ids=groups)


class Counted(ThreadRank):
    """Counts its messages."""

    messages = 0

    def gather(self, tensor):
        self.messages += 1
        return super().gather(tensor)


def test_the_whole_is_the_columns_of_all_with_their_episodes_by_one_message():
    def told(rank):
        rank = Counted(rank.number, rank.together)
        whole = whole_of(mine(rank.number), rank)
        assert rank.messages == 1
        return whole

    for number, whole in enumerate(on_ranks(2, told)):
        assert whole.mask.tolist() == [[True, True, True], [True, True, False], [True, False, False]]
        assert whole.rewards.tolist() == [[0.5, 0.5, -2.0], [0.5, -2.0, 0.0], [-2.0, 0.0, 0.0]]
        assert whole.times.tolist() == [[0, 0, 0], [1, 1, 0], [2, 0, 0]]
        assert whole.terminated.tolist() == [[False, False, True], [False, True, False], [True, False, False]]
        assert whole.episode_returns.tolist() == [1.0, 2.0, 3.0] and whole.episode_lengths.tolist() == [3, 2, 1]
        assert whole.stop_reasons == ("eos", "länge", "")
        first, *others = whole.group_ids.tolist()
        assert others[1] == others[0] + 1 and first not in others
        assert whole.share.columns.tolist() == [[0], [1, 2]][number]
        before, again = mine(number), own(whole)
        for name in ("mask", "rewards", "terminated", "truncated", "times", "episode_starts", "log_probs"):
            assert torch.equal(getattr(again, name), getattr(before, name))


test_seeded_bugs = seeded(
    Bug(
        "the last ranks come first",
        shares.gathered,
        with_result(shares.gathered, lambda found: [parts[::-1] for parts in found]),
        [test_the_whole_is_the_columns_of_all_with_their_episodes_by_one_message],
    ),
    Bug(
        "groups of two ranks have one number",
        shares._apart,
        torch.cat,
        [test_the_whole_is_the_columns_of_all_with_their_episodes_by_one_message],
    ),
    Bug(
        "bytes are those of what lies in memory",
        shares._bytes,
        lambda tensor: torch.frombuffer(bytearray(bytes(tensor.untyped_storage())), dtype=torch.uint8),
        [test_all_that_is_gathered_is_what_each_has_given],
        raises=(AssertionError, RuntimeError, ValueError),
    ),
)
