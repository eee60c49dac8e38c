"""Folders of runs, as a user could have written them."""

import json

RETURN = "rollout/ep_rew_mean"


def make(folder, values=(1, 2), steps=None, summary=None, **config):
    """Write a run's folder, with a config.json if something stands in it, and with a summary.json if there is one."""
    folder.mkdir(parents=True)
    at = steps or [100 * i for i in range(1, len(values) + 1)]
    rows = [json.dumps({"step": step, RETURN: value}) for step, value in zip(at, values, strict=True)]
    (folder / "metrics.jsonl").write_text("".join(f"{row}\n" for row in rows))
    for name, content in (("config", config), ("summary", summary)):
        if content:
            (folder / f"{name}.json").write_text(json.dumps(content))
    return folder


def make_seeds(folder, values_of, seeds=3, **config):
    """Write the folders of several seeds, of which each has the values that `values_of` returns for it."""
    for seed in range(seeds):
        make(folder / f"seed-{seed}", values_of(seed), seed=seed, **config)
    return folder
