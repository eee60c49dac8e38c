"""How settings are drawn: moves along the options that matter most, then steps from good settings, and Optuna's."""

import math

import optuna
import pytest
from support.bugs import Bug, seeded

from pg_agents.tuning import sampler
from pg_agents.tuning.sampler import DOWN, UP, CoordinateSampler, best_of, beyond

CHOICES = {
    "discount": (0.9, 0.95, 0.98, 0.99, 0.995),
    "normalize_observations": (False, True),
    "num_steps": (64, 128, 256),
    "hidden": (None, "[32]", "[64]"),
    "clip": (0.1, 0.2, 0.3),
}
DEFAULTS = {"learning_rate": 1e-3, "discount": 0.99, "normalize_observations": False, "num_steps": 128, "hidden": None}
DEFAULTS |= {"clip": 0.2}
POSSIBLE = [
    ("learning_rate", UP), ("discount", DOWN), ("normalize_observations", UP), ("discount", UP),
    ("learning_rate", DOWN), ("num_steps", DOWN), ("num_steps", UP),
]  # fmt: skip


def tried(score, trials, seed=0):
    """Return the parameters of the trials of a study that begins with the defaults."""

    def objective(trial):
        trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)
        for name, choices in CHOICES.items():
            trial.suggest_categorical(name, choices)
        return score(trial.params)

    study = optuna.create_study(direction="maximize", sampler=CoordinateSampler(seed))
    study.enqueue_trial(DEFAULTS, user_attrs={"origin": "defaults"})
    study.optimize(objective, n_trials=trials)
    return [trial.params for trial in study.trials]


def changed(start, params):
    return {name for name in start if params[name] != start[name]}


def test_the_first_trials_change_one_option_of_the_best_settings_after_another():
    found = tried(lambda params: 0.0, 1 + len(POSSIBLE))  # nothing is better than the defaults
    assert [changed(DEFAULTS, params) for params in found[1:]] == [{name} for name, _ in POSSIBLE]
    assert [params["discount"] for params in (found[2], found[4])] == [0.95, 0.995]
    assert [found[i]["learning_rate"] for i in (1, 5)] == pytest.approx([1e-3 * 100 ** (1 / 3), 1e-3 / 100 ** (1 / 3)])


def test_a_move_goes_on_where_an_earlier_one_has_helped():
    less = tried(lambda params: -params["discount"], 1 + len(POSSIBLE))
    assert [params["discount"] for params in less[1:]] == [0.99, 0.95, 0.95, 0.9, 0.9, 0.9, 0.9]
    more = tried(lambda params: params["learning_rate"], 1 + len(POSSIBLE))
    assert [more[i]["learning_rate"] for i in (1, 5)] == pytest.approx([10 ** (-3 + 2 / 3), 10 ** (-3 + 2 / 3 + 4 / 9)])
    known = [{"discount": 0.9}]  # the better of two known settings: what it has is where moves begin
    assert sampler.helped("discount", {"discount": 0.9}, known) is None


def test_what_failed_is_no_start():
    found = tried(lambda params: -math.inf if params["learning_rate"] > 1e-3 else 0.0, 3)
    assert changed(DEFAULTS, found[1]) == {"learning_rate"} and changed(DEFAULTS, found[2]) == {"discount"}
    assert best_of([]) == []


def test_steps_change_one_to_three_options_and_never_none():
    found = CoordinateSampler(0)
    space = {name: optuna.distributions.CategoricalDistribution(choices) for name, choices in CHOICES.items()}
    space["learning_rate"] = optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
    steps = [changed(DEFAULTS, found.step(DEFAULTS, space)) for _ in range(200)]
    assert {len(step) for step in steps} == {1, 2, 3} and set().union(*steps) == set(DEFAULTS)
    rates = [found.step({"learning_rate": 1e-3}, {"learning_rate": space["learning_rate"]}) for _ in range(400)]
    logs = [math.log10(rate["learning_rate"]) for rate in rates]
    assert all(-5 <= log <= -1 for log in logs) and sum(logs) / 400 == pytest.approx(-3, abs=0.25)
    only = {"clip": optuna.distributions.CategoricalDistribution((0.2,))}
    assert found.step({"clip": 0.2}, only) == {"clip": 0.2}


def test_steps_start_from_one_of_the_best():
    def trial(value, state=optuna.trial.TrialState.COMPLETE):
        values = {"value": value} if state == optuna.trial.TrialState.COMPLETE else {}
        return optuna.trial.create_trial(state=state, params={}, distributions={}, **values)

    trials = [trial(float(i)) for i in range(30)] + [trial(math.inf), trial(None, optuna.trial.TrialState.PRUNED)]
    assert len(best_of(trials[:4])) == 1 and len(best_of(trials[:9])) == 2 and len(best_of(trials)) == 3


def test_there_is_nothing_beyond_the_ends_or_for_what_has_no_order():
    discounts = optuna.distributions.CategoricalDistribution(CHOICES["discount"])
    rates = optuna.distributions.FloatDistribution(1e-5, 1e-1, log=True)
    assert [beyond(0.9, discounts, DOWN), beyond(0.9, discounts, UP)] == [None, 0.98]
    assert [beyond(0.98, discounts, DOWN), beyond(0.98, discounts, UP)] == [0.95, 0.99]  # the nearer of two
    assert beyond(1e-1, rates, UP) is None and beyond(1e-3, rates, DOWN) == pytest.approx(10 ** (-3 - 2 / 3))
    assert beyond(None, optuna.distributions.CategoricalDistribution((None, 0.5)), UP) is None


def far_from(params):
    """Return a score that two options decide, one of them far from its default; all others do harm."""
    harm = sum(params[name] != DEFAULTS[name] for name in ("normalize_observations", "num_steps", "hidden", "clip"))
    return -abs(math.log10(params["learning_rate"]) + 2) - 20 * (params["discount"] - 0.9) - harm


def test_a_search_of_twenty_trials_finds_more_than_one_that_begins_anywhere():
    ours, theirs = [], []
    for seed in range(5):
        ours.append(max(map(far_from, tried(far_from, 20, seed))))
        study = optuna.create_study(
            direction="maximize", sampler=optuna.samplers.TPESampler(seed=seed, n_startup_trials=10, multivariate=True)
        )
        study.enqueue_trial(DEFAULTS)
        study.optimize(
            lambda trial: far_from(
                {"learning_rate": trial.suggest_float("learning_rate", 1e-5, 1e-1, log=True)}
                | {name: trial.suggest_categorical(name, choices) for name, choices in CHOICES.items()}
            ),
            n_trials=20,
        )
        theirs.append(study.best_value)
    assert min(ours) > max(theirs), (ours, theirs)


def from_the_worst(trials):
    """Return the parameters of the worst trials."""
    whole = [one for one in trials if one.state == optuna.trial.TrialState.COMPLETE]
    return [one.params for one in sorted(whole, key=lambda one: one.value)][:1]


test_seeded_bugs = seeded(
    Bug("a move forgets what has helped", sampler.helped, lambda name, best, known: None,
        [test_a_move_goes_on_where_an_earlier_one_has_helped]),
    Bug("moves start from the worst", sampler.best_of, from_the_worst,
        [test_a_move_goes_on_where_an_earlier_one_has_helped]),
    Bug("what is drawn is anywhere", CoordinateSampler.sample_relative,
        optuna.samplers.TPESampler.sample_relative,
        [test_the_first_trials_change_one_option_of_the_best_settings_after_another,
         test_a_search_of_twenty_trials_finds_more_than_one_that_begins_anywhere]),
)  # fmt: skip
