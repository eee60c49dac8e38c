"""Images: what counts as one, and what the convolutional network sees of it."""

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, Tuple
from support.bugs import Bug, seeded

from pg_agents.errors import UnsupportedSpaceError
from pg_agents.policies import Encoder, ImageEncoder, MLPCritic, make_networks
from pg_agents.policies.normalization import has_real
from pg_agents.spaces.pictures import Picture, as_before, picture_of, range_of


def linear_layers(network):
    return sum(isinstance(module, torch.nn.Linear) for module in network.modules())


def pixels(*shape):
    return Box(0, 255, shape, np.uint8)


@pytest.mark.parametrize(
    ("space", "picture"),
    [
        (pixels(84, 84, 3), Picture(-1, 1, 3, 84, 84)),
        (pixels(4, 84, 84), Picture(-3, 1, 4, 84, 84)),
        (pixels(84, 84, 12), Picture(-1, 1, 12, 84, 84)),
        (pixels(7, 9, 3), Picture(-1, 1, 3, 7, 9)),
        (pixels(96, 48, 1), Picture(-1, 1, 1, 96, 48)),
        (pixels(3, 3, 2), Picture(-1, 1, 2, 3, 3)),  # too small, which is said when the network is made
        (pixels(84, 96), Picture(None, 1, 1, 84, 96)),  # grey, without an axis of channels
        (pixels(4, 84, 84, 3), Picture(-1, 4, 3, 84, 84)),  # frames one after the other
        (pixels(4, 84, 84, 1), Picture(-1, 4, 1, 84, 84)),
        (pixels(4, 3, 84, 96), Picture(-3, 4, 3, 84, 96)),
        (pixels(2, 4, 84, 84, 3), Picture(-1, 8, 3, 84, 84)),
        (Box(0, 1, (3, 32, 32)), Picture(-3, 1, 3, 32, 32)),
        (Box(-np.inf, np.inf, (32, 40, 4)), Picture(-1, 1, 4, 32, 40)),
        (Box(0, 1, (84, 84)), Picture(None, 1, 1, 84, 84)),
        (Box(0, 1, (8, 84, 84)), Picture(-3, 1, 8, 84, 84)),
        (Box(-np.inf, np.inf, (4, 84, 84, 3)), Picture(-1, 4, 3, 84, 84)),
        (Box(0, 1, (32, 32, 2)), None),  # real numbers with two "channels" are no picture
        (Box(0, 1, (3, 4, 5)), None),  # nor are so few of them
        (Box(0, 1, (35, 84)), None),  # nor is a matrix, unless it is large
        (Box(0, 1, (8, 8, 10), np.uint8), None),  # planes of a board
        (pixels(6, 84), None),
        (pixels(128), None),
        (pixels(8, 8, 8), None),
        (pixels(3, 64, 3), None),
        (pixels(0, 0, 0), None),
        (Box(0, 255, (84, 84, 3), np.int32), None),
        (Discrete(3), None),
    ],
    ids=str,
)
def test_what_is_a_picture(space, picture):
    assert picture_of(space) == picture
    if isinstance(space, Box):
        real = np.issubdtype(space.dtype, np.floating)
        assert has_real(space) == (real and picture is None and len(space.shape) < 3)


@pytest.mark.parametrize("shape", [(3,), (2, 3), (3, 5, 5, 5), ()])
def test_whole_numbers_that_are_no_picture_are_scaled_by_their_bounds(shape):
    """Bytes as they are would saturate a network; each number is scaled from its own bounds to 0 … 1."""
    for low, high, dtype in ((0, 255, np.uint8), (-100, 300, np.int64)):
        space = Box(low, high, shape, dtype)
        space.seed(0)
        seen = np.stack([space.low, space.high, space.sample()])
        features = Encoder(space)(torch.from_numpy(seen))
        wanted = torch.from_numpy((seen.reshape(3, -1).astype(np.float64) - low) / (high - low)).float()
        torch.testing.assert_close(features, wanted)
    own = Box(np.array([0, -5]), np.array([10, -5]), dtype=np.int16)
    assert Encoder(own)(torch.tensor([[5, -5]])).tolist() == [[0.5, 0.0]]


@pytest.mark.parametrize(
    "space",
    [Box(0, 255, (3,)), Box(0, 1, (3,), np.uint8), Box(-(2**31), 2**31 - 1, (3,), np.int32), Box(-1, 1, (3,), np.int8)],
    ids=str,
)
def test_real_numbers_and_those_without_bounds_are_as_they_are(space):
    assert range_of(space) is None
    assert Encoder(space)(torch.tensor([[1, 0, 1]])).tolist() == [[1, 0, 1]]


@pytest.mark.parametrize(
    ("shape", "flat", "size"),
    [
        ((84, 84, 4), 64 * 7 * 7, 512),  # 84 → 20 → 9 → 7, as Mnih et al. have it
        ((36, 36, 1), 64 * 1 * 1, 512),
        ((35, 60, 1), 64 * 5 * 12, 256),  # 35 → 16 → 7 → 5, 60 → 29 → 14 → 12
        ((16, 16, 3), 64 * 1 * 1, 256),
        ((15, 15, 3), 64 * 6 * 6, 128),
        ((7, 7, 3), 64 * 2 * 2, 128),
    ],
)
def test_sizes(shape, flat, size):
    encoder = ImageEncoder(pixels(*shape))
    assert encoder.network[-2].in_features == flat and encoder.size == size == Encoder(pixels(*shape)).size
    assert encoder(torch.zeros(2, *shape, dtype=torch.uint8)).shape == (2, size)


def test_images_too_small_are_refused_when_the_network_is_made():
    for make in (Encoder, MLPCritic, lambda space: make_networks(space, Discrete(2), critic=True)):
        with pytest.raises(
            UnsupportedSpaceError, match="6×9 pixels are too small.*needs 7×7.*--wrapper 'ResizeObservation:shape"
        ):
            make(pixels(6, 9, 3))
    with pytest.raises(UnsupportedSpaceError, match="5×5 pixels are too small"):
        Encoder(Dict(view=pixels(3, 5, 5), n=Discrete(2)))


def test_bytes_are_scaled_to_one_and_leading_dimensions_stay():
    """The first layer sees x/255; [T, B, H, W, C] gives [T, B, size], row by row the same."""
    encoder = ImageEncoder(pixels(20, 24, 3))
    seen = []
    encoder.network[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    images = torch.randint(0, 256, (2, 3, 20, 24, 3), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = encoder(images)
    assert features.shape == (2, 3, 256)
    torch.testing.assert_close(seen[0], images.flatten(0, 1).permute(0, 3, 1, 2) / 255)
    torch.testing.assert_close(encoder(images[1, 2]), features[1, 2], rtol=0, atol=1e-5)


@pytest.mark.parametrize(("low", "high"), [(-1, 1), (0, 255), (-np.inf, np.inf), (-3e38, 3e38)])
def test_real_pixels_are_scaled_by_their_bounds_where_they_have_some(low, high):
    encoder = ImageEncoder(Box(low, high, (1, 16, 16)))
    seen = []
    encoder.network[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    images = torch.rand(2, 1, 16, 16, generator=torch.Generator().manual_seed(0))
    encoder(images)
    torch.testing.assert_close(seen[0], images if high > 1e6 else (images - low) / (high - low))


def test_channels_first_and_last_are_the_same_picture():
    first, last = ImageEncoder(pixels(3, 40, 50)), ImageEncoder(pixels(40, 50, 3))
    last.load_state_dict(first.state_dict())
    image = torch.randint(0, 256, (5, 3, 40, 50), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    torch.testing.assert_close(first(image), last(image.permute(0, 2, 3, 1)), rtol=0, atol=1e-5)


@pytest.mark.parametrize("shape", [(4, 20, 24, 3), (4, 20, 24, 1), (4, 3, 20, 24), (20, 24), (2, 2, 20, 24, 3)])
def test_stacked_frames_are_channels_of_one_picture(shape):
    """Pixel (y, x) of what the network sees are all frames' values there, as x/255."""
    encoder = ImageEncoder(pixels(*shape))
    seen = []
    encoder.network[0].register_forward_hook(lambda _module, inputs, _output: seen.append(inputs[0]))
    images = torch.randint(0, 256, (2, 3, *shape), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    features = encoder(images)
    last = len(shape) > 2 and shape[-1] != 24
    wanted = images.movedim(-1, -3) if last else images
    torch.testing.assert_close(seen[0], wanted.reshape(6, -1, 20, 24) / 255)
    assert features.shape == (2, 3, 256) and encoder(images[0, 0]).shape == (256,)
    torch.testing.assert_close(encoder(images[1, 2]), features[1, 2], rtol=0, atol=1e-5)


def test_images_inside_trees_and_a_network_for_each_of_policy_and_critic():
    space = Dict(view=pixels(16, 16, 3), rest=Tuple([Discrete(3), pixels(1, 9, 9)]))
    policy, critic = make_networks(space, Discrete(4), critic=True)
    assert policy.encoder.size == 256 + 3 + 128
    rest = (torch.zeros(2, 5).long(), torch.zeros(2, 5, 1, 9, 9, dtype=torch.uint8))
    observations = {"view": torch.zeros(2, 5, 16, 16, 3, dtype=torch.uint8), "rest": rest}
    assert policy(observations).logits.shape == (2, 5, 4) and critic(observations).shape == (2, 5)
    assert not {id(p) for p in policy.parameters()} & {id(p) for p in critic.parameters()}
    critic(observations).sum().backward()
    assert all(p.grad is not None for p in critic.parameters())
    assert [linear_layers(network.network) for network in (policy, critic)] == [1, 1]  # nothing hidden behind images
    assert linear_layers(make_networks(space, Discrete(4), critic=False, hidden=(8,))[0].network) == 2


def test_a_policy_learns_where_a_bright_pixel_is():
    """A bright quarter of the picture, left or right, is told apart after 30 steps of gradient descent."""
    torch.manual_seed(0)
    policy, _ = make_networks(pixels(7, 7, 3), Discrete(2), critic=False)
    side = torch.arange(32) % 2
    images = torch.randint(0, 100, (32, 7, 7, 3), dtype=torch.uint8)
    images[torch.arange(32), 1 + torch.arange(32) % 5, 5 * side] = 255
    optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
    for _ in range(30):
        loss = -policy(images).log_prob(side).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(policy(images).log_prob(side).exp().min()) > 0.9


def lit(count, space, generator):
    """Return pictures of noise with a brighter patch in one quarter, in the space's shape, and which quarter it is."""
    quarter = torch.randint(4, (count,), generator=generator)
    grey = torch.randint(0, 100, (count, 16, 16), generator=generator).float()
    for picture, q in zip(grey, quarter.tolist(), strict=True):
        picture[q // 2 * 8 + 2 :, q % 2 * 8 + 2 :][:4, :4] += 100
    if len(space.shape) == 1:
        return grey.flatten(1).to(torch.uint8), quarter
    inner = (16, 16) if space.shape[-2:] == (16, 16) else (16, 16, 1)
    seen = grey.reshape(count, *[1] * (len(space.shape) - len(inner)), *inner).expand(count, *space.shape)
    if space.dtype == np.uint8:
        return seen.to(torch.uint8), quarter
    return (seen / 255 if space.is_bounded() else seen / 100 - 1), quarter


def accuracy(space, seen_as):
    """Return how often a policy names the lit quarter after 30 steps up the policy gradient of a bandit."""
    torch.manual_seed(0)
    generator = torch.Generator().manual_seed(1)
    policy, _ = make_networks(seen_as, Discrete(4), critic=False)
    optimizer = torch.optim.Adam(policy.parameters(), 1e-3)
    for _ in range(30):
        seen, quarter = lit(64, space, generator)
        distribution = policy(seen)
        actions = distribution.sample(generator)
        loss = -(((actions == quarter).float() - 0.25) * distribution.log_prob(actions)).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    seen, quarter = lit(256, space, generator)
    return float((policy(seen).mode() == quarter).float().mean())


WRAPPED = [(16, 16), (16, 16, 1), (16, 16, 3), (3, 16, 16), (4, 16, 16), (4, 16, 16, 1), (4, 16, 16, 3), (4, 3, 16, 16)]


@pytest.mark.parametrize(
    "space",
    [pixels(*shape) for shape in WRAPPED]
    + [pixels(256), Box(0, 1, (16, 16, 3)), Box(0, 1, (4, 16, 16)), Box(-np.inf, np.inf, (4, 16, 16, 3))],
    ids=str,
)
def test_a_bandit_is_learned_from_pictures_in_every_shape_that_wrappers_give_them(space):
    assert accuracy(space, space) > 0.9


def test_stacks_of_colour_pictures_as_mere_numbers_are_not_learned_from():
    """What earlier versions did: a quarter is named by chance."""
    assert accuracy(pixels(4, 16, 16, 3), as_before(pixels(4, 16, 16, 3))) < 0.4


def scales_nothing(self, space, right=ImageEncoder.__init__):
    right(self, space)
    self.low, self.width = 0.0, 1.0


def reads_channels_first(self, images, right=ImageEncoder.forward):
    if self.axis == -1:
        *leading, height, width, channels = images.shape
        images = images.reshape(*leading, channels, height, width).movedim(-3, -1)
    return right(self, images)


test_seeded_bugs = seeded(
    Bug(
        "bytes are not scaled",
        ImageEncoder.__init__,
        scales_nothing,
        [test_bytes_are_scaled_to_one_and_leading_dimensions_stay],
    ),
    Bug(
        "channels last are taken for channels first",
        ImageEncoder.forward,
        reads_channels_first,
        [test_channels_first_and_last_are_the_same_picture],
    ),
    Bug(
        "whole numbers go into a network as they are, and saturate it",
        range_of,
        lambda space: None,
        [test_whole_numbers_that_are_no_picture_are_scaled_by_their_bounds],
    ),
)
