"""What TRPO and the natural policy gradient multiply by F⁻¹, and what F⁻¹ makes of it."""

import numpy as np
import pytest
import torch
from support.exactly import PROBLEMS, SHORT, expected_lambda_returns, gradient_of_signals, named, tabular

from pg_agents.gradients.instrument import Instrument

NAMES = {"TRPO before F⁻¹, exact V": "values", "NPG before F⁻¹, learned V": "learned"}


@pytest.mark.parametrize("name", NAMES)
def test_before_the_fisher_matrix_it_is_gae_without_the_discount_of_time(name):
    """E Σ_t Â_t ∇ ln π with λ = 0.9 and V of the nodes; γ^t is left out, as it nearly always is."""
    policy = tabular(SHORT)
    instrument = Instrument(SHORT, policy)
    measured = instrument.measure(named(SHORT, name))
    values = instrument.setting.learned if NAMES[name] == "learned" else instrument.setting.solution.values
    known = np.concatenate([values.numpy().reshape(3, 3), np.zeros((1, 3))])
    signals = expected_lambda_returns(SHORT, policy, known, 0.9)
    predicted = gradient_of_signals(SHORT, policy, signals, discount=1.0)
    torch.testing.assert_close(measured.expected, predicted, rtol=0, atol=1e-10)
    assert measured.enumerated and not measured.unbiased and measured.bias > 0.01


def test_where_time_is_not_discounted_it_is_the_gradient():
    undiscounted = PROBLEMS["bandit"]
    for name in NAMES:
        measured = Instrument(undiscounted, tabular(undiscounted)).measure(named(undiscounted, name))
        assert measured.unbiased and measured.bias < 1e-10
