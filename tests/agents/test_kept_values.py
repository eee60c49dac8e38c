"""Training comes to the numbers that it came to before agents became pages, but for rounding."""

import json

import pytest
from kept_values import CASES, FILE, values_of

KEPT = json.loads(FILE.read_text())
SINCE = {f"train/{name}" for name in ("n_updates", "learning_rate", "critic_learning_rate", "entropy_weight", "std")}
SINCE |= {"train/optimal_gain", "train/random_gain"}


@pytest.mark.parametrize(("name", "family"), CASES)
def test_training_comes_to_the_numbers_that_were_kept(name, family):
    kept, found = KEPT[f"{name} {family}"], values_of(name, family)
    assert found.keys() - SINCE == kept.keys()
    for part, value in kept.items():
        assert found[part] == pytest.approx(value, rel=1e-5, abs=1e-5), part
