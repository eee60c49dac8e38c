"""Names of the last version answer with the new one."""

import pytest
import torch
from support.records import record

import pg_agents as pg
from pg_agents.policies import Policy


@pytest.mark.parametrize(("old", "new"), [("Linear", "LinearSchedule"), ("Steps", "StepCadence")])
def test_former_public_names_are_the_new_ones_with_a_warning(old, new):
    with pytest.warns(DeprecationWarning, match=f"pg_agents.{old} is called {new} now"):
        assert getattr(pg, old) is getattr(pg, new)
    with pytest.raises(AttributeError, match="no attribute 'Lines'"):
        pg.Lines  # noqa: B018


def test_a_rollouts_starts_are_its_episode_starts():
    rollout = record()
    with pytest.warns(DeprecationWarning, match="Rollout.starts is called episode_starts now"):
        assert torch.equal(rollout.starts, rollout.episode_starts)


def test_a_method_under_a_former_name_is_refused_since_nothing_would_call_it():
    with pytest.raises(TypeError, match="Mine.outward is called unscale_action now"):
        type("Mine", (Policy,), {"outward": lambda self, actions: actions})
