"""One gather and its parts are a gather for each part."""

import torch
from support.bugs import Bug, seeded

from pg_agents._fast import gathers
from pg_agents._fast.gathers import deal_out, plain_deal_out


def test_parts_are_the_same_bits_and_views_of_one_gather():
    leaf, order = torch.randn(11, 3), torch.randperm(11)[:9]
    parts, plain = (list(f(leaf, order, [0, 4, 9])) for f in (deal_out, plain_deal_out))
    assert [len(part) for part in parts] == [4, 5]
    assert all(torch.equal(one, other) for one, other in zip(parts, plain, strict=True))
    assert torch.equal(torch.cat(plain), leaf[order])
    assert len({part.untyped_storage().data_ptr() for part in parts}) == 1


def test_parts_of_pictures_are_gathered_one_at_a_time(monkeypatch):
    monkeypatch.setattr(gathers, "LARGE", 100)
    leaf, order = torch.randint(0, 256, (11, 4, 4), dtype=torch.uint8), torch.randperm(11)[:9]
    parts = list(deal_out(leaf, order, [0, 4, 9]))
    assert [part.dtype for part in parts] == [torch.uint8] * 2
    assert torch.equal(torch.cat(parts), leaf[order])
    assert [part.untyped_storage().nbytes() for part in parts] == [4 * 16, 5 * 16]


test_seeded_bugs = seeded(
    Bug(
        "parts are dealt out in the order in which they lie",
        deal_out,
        lambda leaf, order, ends: plain_deal_out(leaf, order.sort().values, ends),
        [test_parts_are_the_same_bits_and_views_of_one_gather],
    ),
)
