"""The lines of `tune` about trials that have ended: which settings, what they score, what is best."""

from support.bugs import Bug, seeded

from pg_agents.cli import tuning_progress
from pg_agents.cli.tuning_progress import line_of

DEFAULTS = {"learning_rate": 1e-3, "discount": 0.99, "hidden": "[64, 64]", "clip": 0.2, "num_steps": 128}


def row(trial, score, origin="search", state="complete", **changes):
    """Return the row of a trial whose parameters are the defaults but for `changes`."""
    lowers = [] if score is None else [score]
    whole = score if state == "complete" else None
    found = {"trial": trial, "origin": origin, "state": state, "score": whole, "lower_ends": lowers}
    return found | {"parameters": DEFAULTS | changes}


def test_a_line_names_the_options_that_a_trial_changed_of_the_nearest_earlier_one():
    rows = [
        row(0, 10.0, "defaults"),
        row(1, 30.0, learning_rate=4.6416e-3),
        row(2, 20.0, learning_rate=4.6416e-3, discount=0.95),
        row(3, 5.0, state="pruned", learning_rate=4.6416e-3, hidden="[32]", clip=0.1),
        row(4, None, state="failed", learning_rate=1.0, hidden="[32]", clip=0.3, num_steps=64),
        row(5, 8.0, learning_rate=4.6416e-3),
    ]
    best = "; best 30 (trial 1)"
    assert [line_of(one, rows, None) for one in rows] == [
        "trial 0 (defaults): 10" + best,
        "trial 1 (as 0 but learning_rate=0.00464): 30" + best,
        "trial 2 (as 1 but discount=0.95): 20" + best,
        "trial 3 (as 1 but hidden=[32], clip=0.1): 5 given up" + best,
        "trial 4: – failed" + best,  # four options are other ones
        "trial 5 (as 1): 8" + best,
    ]


def test_only_whole_trials_are_named_and_of_equally_near_ones_the_better():
    pruned = row(1, 9.0, state="pruned", clip=0.1)
    rows = [row(0, 1.0, "defaults"), pruned, row(2, 2.0, discount=0.9, clip=0.2), row(3, 0.0, discount=0.95, clip=0.1)]
    assert "(as 2 but discount=0.95, clip=0.1)" in line_of(rows[3], rows, None)
    assert line_of(pruned, [pruned], None) == "trial 1: 9 given up; none is whole"


test_seeded_bugs = seeded(
    Bug("changes are those from the first trial", tuning_progress._other, lambda parameters, base: {
        name: value for name, value in parameters.items() if value != DEFAULTS[name]},
        [test_a_line_names_the_options_that_a_trial_changed_of_the_nearest_earlier_one]),
)  # fmt: skip
