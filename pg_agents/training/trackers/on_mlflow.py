"""MLflow: the store of MLFLOW_TRACKING_URI; without it mlflow.db in the present folder, which needs no server."""

from __future__ import annotations

import os
import time
from collections.abc import Mapping

from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from pg_agents.training.hparams import hyperparameters
from pg_agents.training.trackers.protocol import PROJECT, Start

LONGEST = 5000  # characters of a value


class MlflowWriter:
    """A run of MLflow; see `Tracker`."""

    def __init__(self, start: Start) -> None:
        self.client, name = MlflowClient(), os.environ.get("MLFLOW_EXPERIMENT_NAME", PROJECT)
        self.run_id = start.run_id or ""
        if not self.run_id:
            found = self.client.get_experiment_by_name(name)
            experiment = self.client.create_experiment(name) if found is None else found.experiment_id
            tags = {} if start.group is None else {"group": start.group}
            self.run_id = self.client.create_run(experiment, run_name=start.name, tags=tags).info.run_id
            params = hyperparameters(start.config).items()
            self.client.log_batch(self.run_id, params=[Param(key, str(value)[:LONGEST]) for key, value in params])
        self.client.update_run(self.run_id, status="RUNNING")
        self.where = f"run {self.run_id} in {self.client.tracking_uri}"

    def write(self, step: int, numbers: Mapping[str, float]) -> None:
        """See `Tracker`."""
        now = int(time.time() * 1000)
        self.client.log_batch(self.run_id, metrics=[Metric(name, value, now, step) for name, value in numbers.items()])

    def close(self, step: int, results: Mapping[str, float | str], *, failed: bool) -> None:
        """See `Tracker`."""
        self.write(step, {name: value for name, value in results.items() if not isinstance(value, str)})
        texts = [RunTag(name, value[:LONGEST]) for name, value in results.items() if isinstance(value, str)]
        self.client.log_batch(self.run_id, tags=texts)
        self.client.set_terminated(self.run_id, "FAILED" if failed else "FINISHED")
