"""A run that was stopped goes on with the bits of one that was not: everything it learns, draws and writes.

Each run writes a checkpoint after every update; for each cut its folder is copied as a process that was killed there
would have left it, with all that was written later still in its files, and resumed with new objects.
"""

from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from multiprocessing import get_context

import pytest
import torch
from support.resumed import differences, stopped_after
from support.small_runs import CONTROL, OPTIONS, TASKS, cell, go, go_together, named, resumed_at

from pg_agents.checkpoints.store import checkpoints_in
from pg_agents.training import resuming

EVERY = [cell(agent, task) for agent in OPTIONS if agent != "average-reward" for task in TASKS]
OTHERS = {
    "average-reward": ("average-reward", "pg/TwoStateMDP-v0", {}, {}),
    "memory": ("ppo", "pg/Recall-v0", {}, {"recurrent": 4, **OPTIONS["ppo"]}),
    "reference": cell("ppo", "tokens", kl_weight=0.1),
    "pictures": ("ppo", "pg/Catch-v0", {}, {"hidden": (8,), **OPTIONS["ppo"]}),
}
FEW = [
    cell("reinforce", "chain"), cell("reinforce-baseline", "cartpole"), cell("actor-critic", "cartpole-sync"),
    cell("a2c", "cartpole"), cell("ppo", "cartpole-sync"), cell("grpo", "tokens"), cell("rloo", "tokens"),
    cell("trpo", "cartpole"), cell("npg", "bandit"), *OTHERS.values(),
]  # fmt: skip


def resumes_everywhere(cell, folder, cuts, resumed, record):
    whole = go(cell, folder / "whole")
    count = len(list(checkpoints_in(folder / "whole" / "checkpoints"))) - 1
    assert count >= 3
    kinds = []
    for cut in sorted({round(count * cut) for cut in cuts}):
        again, kind = resumed(cell, folder / "whole", folder / "again", cut)
        assert differences(whole, again) == [], f"after update {cut} of {count}"
        kinds.append(f"cuts {kind if cut else 'before the first update'}")
    record("cell", named(cell))
    for kind in set(kinds):
        record(kind, kinds.count(kind))


@pytest.mark.parametrize("cell", FEW, ids=named)
def test_every_agent_goes_on_with_the_same_bits(cell, tmp_path, record_property):
    resumes_everywhere(cell, tmp_path, [0.5], resumed_at, record_property)


@pytest.fixture(scope="module")
def another_process():
    """A process that begins anew, which has none of this one's memory."""
    with ProcessPoolExecutor(1, get_context("spawn"), torch.set_num_threads, (1,)) as pool:
        yield lambda *arguments: pool.submit(resumed_at, *arguments).result(timeout=120)


@pytest.mark.slow
@pytest.mark.parametrize("cell", [*EVERY, *OTHERS.values()], ids=named)
def test_every_agent_goes_on_with_the_same_bits_in_another_process(cell, tmp_path, another_process, record_property):
    resumes_everywhere(cell, tmp_path, [0, 0.3, 0.6, 1], another_process, record_property)


@pytest.mark.parametrize("cut", [0, 2, 5])
def test_learners_go_on_with_the_same_bits(tmp_path, cut):
    whole = go_together(tmp_path / "whole")
    again = go_together(stopped_after(tmp_path / "whole", tmp_path / "again", cut), resume=True)
    assert differences(whole, again) == [] and len(whole["summary"]["learners"]) == 2
    assert whole["2/rows"] != whole["5/rows"] and len(whole["5/rows"]) > 5


# -- what is left out is missed ----------------------------------------------------------------------------------------
def without(part):
    """Return a function that reads a run's newest checkpoint and leaves a part of it out."""
    read = resuming.newest_good

    def newest(folder):
        found, wrong = read(folder)
        agent, run = found.agent, found.run
        generator = torch.Generator().manual_seed(7).get_state().numpy()
        if part == "moments":
            agent = replace(agent, moments={name: value * 0 for name, value in agent.moments.items()})
        elif part == "minibatches":
            agent = replace(agent, rest=agent.rest | {"generator": generator})
        elif part == "observation scale":
            scales = {name: value * 0 for name, value in agent.networks.items() if name.endswith("moments.count")}
            agent = replace(agent, networks=agent.networks | scales)
        elif part == "running returns":
            agent = replace(
                agent, networks={n: v * (n != "reward_scale.accumulated") for n, v in agent.networks.items()}
            )
        elif part == "actions":
            actor = run["collector"]["actor"] | {"generator": generator}
            run = run | {"collector": run["collector"] | {"actor": actor}}
        elif part == "environment":
            run = run | {"collector": None}
        elif part == "episodes' returns":
            adapter = run["collector"]["adapter"]
            adapter = adapter | {"returns": adapter["returns"] * 0}
            run = run | {"collector": run["collector"] | {"adapter": adapter}}
        elif part in ("steps", "episodes"):
            run = run | {"progress": run["progress"] | {part: run["progress"][part] - 1}}
        elif part == "metrics":
            run = run | {"progress": run["progress"] | {"metrics": {}}}
        elif part == "newest episodes":
            run = run | {"progress": run["progress"] | {"recent": run["progress"]["recent"][:-1]}}
        elif part == "evaluations":
            run = run | {"evaluations": run["evaluations"] | {"due": 0}}
        elif part == "written":
            run = run | {"position": run["position"] | {"bytes": {name: 10**9 for name in run["position"]["bytes"]}}}
        return replace(found, agent=agent, run=run), wrong

    return newest


PARTS = (
    *("moments", "minibatches", "observation scale", "running returns", "actions", "environment", "episodes' returns"),
    *("steps", "episodes", "metrics", "newest episodes", "evaluations", "written"),
)


@pytest.fixture(scope="module")
def control(tmp_path_factory):
    folder = tmp_path_factory.mktemp("control") / "whole"
    return folder, go(CONTROL, folder)


def test_nothing_is_missed_where_nothing_is_left_out(control, tmp_path):
    whole, found = control
    assert differences(found, go(CONTROL, stopped_after(whole, tmp_path / "again", 3), resume=True)) == []


@pytest.mark.parametrize("part", PARTS)
def test_each_part_of_a_checkpoint_is_missed(control, tmp_path, monkeypatch, part, record_property):
    whole, found = control
    place = stopped_after(whole, tmp_path / "again", 3)
    monkeypatch.setattr(resuming, "newest_good", without(part))
    assert differences(found, go(CONTROL, place, resume=True)) != []
    record_property("parts left out that were missed", 1)
