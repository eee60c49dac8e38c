"""Configurations: rules in types, help texts below fields, schedules made of text once."""

import copy
import pickle
from dataclasses import FrozenInstanceError, dataclass
from typing import Literal

import numpy as np
import pytest

import pg_agents as pg
from pg_agents.configuration import Configuration, Count, Fraction, Positive, Scheduled, Several


@dataclass(frozen=True, kw_only=True)
class Base(Configuration):
    """A configuration."""

    count: Count = 3
    """How many."""
    rate: Scheduled[Positive] = 0.5
    """How fast,
    on two lines."""


@dataclass(frozen=True, kw_only=True)
class Derived(Base):
    """Another default, and more options."""

    count: Several | None = None
    kind: Literal["plain", "fancy"] = "plain"
    """Which."""
    share: Fraction = 1.0
    on: bool = False

    def check_together(self):
        if self.on and self.kind == "plain":
            raise ValueError("on goes with kind='fancy'")


def test_options_are_fields_with_rules_defaults_and_help():
    options = Derived.options()
    assert list(options) == ["count", "rate", "kind", "share", "on"]
    assert [option.default for option in options.values()] == [None, 0.5, "plain", 1.0, False]
    assert options["count"].rule == "a whole number, 2 or above, or None"
    assert options["kind"].rule == "one of plain, fancy" and options["on"].rule == "True or False"
    assert options["rate"].scheduled and not options["share"].scheduled
    assert Derived.help_texts() == {"count": "How many.", "rate": "How fast,\non two lines.", "kind": "Which."}


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 1}, "count must be a whole number, 2 or above, or None, got 1"),
        ({"count": 2.5}, "count must be a whole number, 2 or above, or None, got 2.5"),
        ({"count": True}, "count must be .*, got True"),
        ({"rate": 0}, "rate must be a finite number above 0, got 0"),
        ({"rate": float("nan")}, "rate must be .*, got nan"),
        ({"rate": "fast"}, "rate must be a number, or a schedule start:end such as 1e-3:0, got 'fast'"),
        ({"rate": "0:1"}, "rate must be a finite number above 0, got 0.0:1.0"),
        ({"share": pg.LinearSchedule(1.0, 0.5)}, "share must be above 0 and at most 1, got 1.0:0.5"),
        ({"kind": "odd"}, "kind must be one of plain, fancy, got 'odd'"),
        ({"on": 1}, "on must be True or False, got 1"),
        ({"on": True}, "on goes with kind='fancy'"),
    ],
)
def test_what_breaks_a_rule_is_named(options, message):
    with pytest.raises(ValueError, match=f"^{message}$"):
        Derived(**options)


def test_text_becomes_a_schedule_once_and_may_end_at_0():
    assert Derived(rate="1e-3:0").rate == pg.LinearSchedule(1e-3, 0.0)
    assert Derived(rate="1e-3:0").replace(count=4).rate == pg.LinearSchedule(1e-3, 0.0)
    assert Derived(count=np.int64(4)).count == 4


def test_a_configuration_does_not_change():
    config = Derived()
    with pytest.raises(FrozenInstanceError):
        config.count = 7
    assert config.replace(count=7).as_dict() == {"count": 7, "rate": 0.5, "kind": "plain", "share": 1.0, "on": False}
    with pytest.raises(ValueError, match="count must be"):
        config.replace(count=0)


@pytest.mark.parametrize(
    "config", [*(agent.config_class for agent in pg.AGENTS.values()), pg.NetworkConfig, pg.LanguageConfig]
)
def test_every_option_has_a_help_text_and_a_rule(config):
    options, texts = config.options(), config.help_texts()
    assert options.keys() <= texts.keys() and all(text.strip().endswith(".") for text in texts.values())
    assert all(option.rules or option.type is str for option in options.values())


def test_values_of_numpy_and_lists_become_pythons_own():
    config = pg.PPOConfig(clip=np.array(0.1), epochs=np.int64(3), normalize_advantages=np.True_)
    assert (type(config.clip), type(config.epochs), config.normalize_advantages) == (float, int, True)
    networks = pg.NetworkConfig(hidden=np.array([8, 8]))
    assert networks.hidden == (8, 8) and networks == pg.NetworkConfig(hidden=[8, 8]) and hash(networks)
    with pytest.raises(ValueError, match=r"epochs must be .*, got \(3,\)"):
        pg.PPOConfig(epochs=np.array([3]))
    assert pg.PPOConfig(clip=np.array([0.1, 0.2])).clip == (0.1, 0.2)
    assert pg.PPOConfig(learning_rate="3e-4").learning_rate == 3e-4


def test_names_that_there_are_not_are_answered_with_the_nearest():
    for make in (lambda: pg.PPOConfig(clipp=0.1), lambda: pg.PPOConfig().replace(clip_range=0.1)):
        with pytest.raises(TypeError, match="PPOConfig has no such argument; did you mean clip?"):
            make()


def test_what_was_given_is_told_from_defaults():
    config = pg.PPOConfig(clip=0.2, epochs=4)
    assert config.given_options() == {"clip": 0.2, "epochs": 4}
    for same in (config.replace(), copy.deepcopy(config), pickle.loads(pickle.dumps(config))):
        assert same == config and same.given_options() == config.given_options()
    assert config.replace(epochs=5).given_options() == {"clip": 0.2, "epochs": 5}


def test_a_configuration_that_is_no_dataclass_is_named():
    undecorated = type("Mine", (pg.PPOConfig,), {"__annotations__": {"offset": float}, "offset": 0.0})
    with pytest.raises(TypeError, match=r"Mine has to be decorated with @dataclass\(frozen=True, kw_only=True\)"):
        undecorated()
