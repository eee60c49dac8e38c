"""Pictures in another memory order are the same numbers, and what was given stays as it was."""

import pytest
import torch
from support.bugs import Bug, seeded

from pg_agents._fast.pictures import plain_to_floats, to_floats


@pytest.mark.parametrize("channels", [1, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("given", [torch.uint8, torch.float32])
@pytest.mark.parametrize(("low", "width"), [(0.0, 1.0), (0.0, 255.0), (-3.0, 200.0)])
def test_the_numbers_are_the_same(channels, dtype, given, low, width):
    images = torch.randint(0, 256, (5, channels, 8, 9), generator=torch.Generator().manual_seed(0)).to(given)
    for laid_out in (images, images.to(memory_format=torch.channels_last)):
        before = laid_out.clone()
        numbers = to_floats(laid_out, dtype, low, width)
        assert torch.equal(numbers, plain_to_floats(images, dtype, low, width))
        assert numbers.is_contiguous(memory_format=torch.channels_last) and numbers.dtype == dtype
        assert torch.equal(laid_out, before)


test_seeded_bugs = seeded(
    Bug(
        "the darkest pixel is not 0",
        to_floats,
        lambda pictures, dtype, low, width: plain_to_floats(pictures, dtype, 0.0, width),
        [test_the_numbers_are_the_same],
    ),
)
