"""One gather and its parts are a gather for each part."""

import torch
from support.bugs import Bug, seeded

from pg_agents._fast.gathers import deal_out, plain_deal_out


def test_parts_are_the_same_bits_and_views_of_one_gather():
    leaf, order = torch.randn(11, 3), torch.randperm(11)[:9]
    parts, plain = (f(leaf, order, [0, 4, 9]) for f in (deal_out, plain_deal_out))
    assert [len(part) for part in parts] == [4, 5]
    assert all(torch.equal(one, other) for one, other in zip(parts, plain, strict=True))
    assert torch.equal(torch.cat(plain), leaf[order])
    assert len({part.untyped_storage().data_ptr() for part in parts}) == 1


test_seeded_bugs = seeded(
    Bug(
        "parts are dealt out in the order in which they lie",
        deal_out,
        lambda leaf, order, ends: plain_deal_out(leaf, order.sort().values, ends),
        [test_parts_are_the_same_bits_and_views_of_one_gather],
    ),
)
