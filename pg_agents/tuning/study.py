"""Trials of settings: drawn by Optuna, scored by the lower end of an interval, given up where others were better."""

from __future__ import annotations

import json
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from pg_agents.errors import FaultyEnvironmentError, UserError
from pg_agents.extras import install_line
from pg_agents.shown import shortened, shown
from pg_agents.training.tuned import Tuned
from pg_agents.tuning.space import DEFAULTS, SEARCH, Space
from pg_agents.tuning.task import lower, returns_of

HEARTBEAT = 20  # seconds between signs of life of a trial in a database, without three of which it counts as failed
BEFORE_PRUNING = 5  # whole trials
WHOLE, RUNNING = ("COMPLETE", "PRUNED"), "RUNNING"
FAILURES = FloatingPointError, FaultyEnvironmentError, ValueError, MemoryError, RuntimeError  # of settings' runs
LOOK = 2.0  # seconds between two looks at trials of other processes
JOURNAL = "journal:"  # begins the name of a file that the processes of one machine share


@dataclass(frozen=True)
class Budget:
    """How long trials go on.

    Attributes:
        until: the time at which everything is to be over, also the runs of the winner; None: there is none.
        trials: how many there are, also those of earlier and of other processes; None: as many as fit.
        last_runs: how long the last runs take, in trials.
    """

    until: float | None
    trials: int | None
    last_runs: float

    def allows(self, study: Any) -> bool:  # noqa: ANN401
        """Return whether another trial may begin."""
        states = _states(study)
        if self._has_all(states, (*WHOLE, RUNNING)):
            return False
        return "WAITING" in states or self._fits(study)  # known settings are always tried

    def awaits(self, study: Any) -> bool:  # noqa: ANN401
        """Return whether trials run elsewhere that may have to be made up for, if they turn out to be killed."""
        from optuna.storages._heartbeat import is_heartbeat_enabled

        states = _states(study)
        only_if_all_end_well = self._has_all(states, (*WHOLE, RUNNING)) and not self._has_all(states, WHOLE)
        return only_if_all_end_well and is_heartbeat_enabled(study._storage) and self._fits(study)

    def _has_all(self, states: list[str], counted: tuple[str, ...]) -> bool:
        return self.trials is not None and sum(state in counted for state in states) >= self.trials

    def _fits(self, study: Any) -> bool:  # noqa: ANN401
        """Return whether there is time for another trial and the last runs."""
        trials = study.get_trials(deepcopy=False)
        took = [trial.user_attrs["seconds"] for trial in trials if "seconds" in trial.user_attrs]
        needed = max(took) * (1 + self.last_runs) if took else 0.0
        return self.until is None or time.time() + needed <= self.until


def _states(study: Any) -> list[str]:  # noqa: ANN401
    return [trial.state.name for trial in study.get_trials(deepcopy=False)]


def import_optuna() -> Any:  # noqa: ANN401
    """Return Optuna, which says nothing but errors.

    Raises:
        UserError: it is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise UserError(f"pg-agents tune needs Optuna, which is not installed: {install_line('optuna')}") from error
    optuna.logging.set_verbosity(optuna.logging.CRITICAL)
    return optuna


@contextmanager
def quietly() -> Iterator[None]:
    """A context without the warnings of Optuna that parts of it are experimental."""
    from optuna.exceptions import ExperimentalWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ExperimentalWarning)
        yield


def open_study(storage: str | None, name: str, seed: int | None = None) -> Any:  # noqa: ANN401
    """Return the study of a name, new or as it was left.

    Args:
        storage: the URL of a database, or a journal's file; None: it is in memory.
        name: of the study.
        seed: of what is drawn, in memory; a study in a storage draws others each time it is opened.

    Raises:
        UserError: the storage cannot be opened.
    """
    optuna = import_optuna()
    from pg_agents.tuning.sampler import CoordinateSampler

    try:
        with quietly():
            opened = _storage(optuna, storage)
            pruner = optuna.pruners.MedianPruner(n_startup_trials=BEFORE_PRUNING, n_min_trials=BEFORE_PRUNING)
            how: dict[str, Any] = {"study_name": name, "storage": opened, "load_if_exists": True, "pruner": pruner}
            study = optuna.create_study(direction="maximize", **how)
            number = int(np.random.SeedSequence(seed if storage is None else None).generate_state(1)[0])
            study.sampler = CoordinateSampler(number)
    except ImportError as error:
        raise UserError(f"storage: {shown(storage)} needs a package that is not installed ({error})") from error
    except Exception as error:
        if type(error).__module__.split(".")[0] not in ("optuna", "sqlalchemy") and not isinstance(error, ValueError):
            raise
        what = shortened(str(error).strip().splitlines()[0], 200)
        raise UserError(
            f"storage: {shown(storage)} cannot be opened ({what}); give the URL of a database, such as "
            "sqlite:///tuning.db"
        ) from error
    return study


def _storage(optuna: Any, storage: str | None) -> Any:  # noqa: ANN401
    if storage is None:
        return None
    if storage.startswith(JOURNAL):
        file = optuna.storages.journal.JournalFileBackend(storage.removeprefix(JOURNAL))
        return optuna.storages.JournalStorage(file)
    patient = {"connect_args": {"timeout": 60}} if storage.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(storage, engine_kwargs=patient, heartbeat_interval=HEARTBEAT)


def begin(study: Any, space: Space) -> None:  # noqa: ANN401
    """Have the known settings tried first, unless the study has them, and note what it tunes.

    Raises:
        UserError: it tunes something else.
    """
    task = {name: value for name, value in vars(space.task).items() if name not in ("device", "step_timeout")}
    mine = json.loads(json.dumps({"space": space.labels()} | task, default=str))
    noted = study.user_attrs.get("task")
    if noted is not None and noted != mine:
        other = [name for name in mine if noted.get(name) != mine[name]]
        before = ", ".join(f"{name}={shown(noted.get(name), 60)}" for name in other)
        raise UserError(f"storage: the study {study.study_name} there was made with {before}; give another storage")
    study.set_user_attr("task", mine)
    _enqueue_known(study, space)


def _enqueue_known(study: Any, space: Space) -> None:  # noqa: ANN401
    """Have known settings tried that the study lacks, as it is new, or as their trial was killed."""
    trials = study.get_trials(deepcopy=False)
    there = {trial.user_attrs.get("origin") for trial in trials if trial.state.name != "FAIL"}
    for origin in [origin for origin in space.known if origin not in there]:
        study.enqueue_trial(space.parameters[origin], user_attrs={"origin": origin})


def run_trials(study: Any, space: Space, budget: Budget) -> None:  # noqa: ANN401
    """Try settings until the budget allows no other trial."""
    from optuna.storages import fail_stale_trials

    with quietly():
        while True:
            fail_stale_trials(study)  # those whose process was killed
            _enqueue_known(study, space)
            if budget.allows(study):
                study.optimize(lambda trial: _score(trial, space), n_trials=1)
            elif budget.awaits(study):
                time.sleep(LOOK)
            else:
                return


def _score(trial: Any, space: Space) -> float:  # noqa: ANN401
    """Return a trial's score; −∞ where the run fails, as settings do with which an agent diverges."""
    import optuna

    origin, start = trial.user_attrs.get("origin", SEARCH), time.time()
    settings = space.settings(trial, origin)
    trial.set_user_attr("settings", as_json(settings))

    def report(point: int, returns: list[float]) -> None:
        trial.set_user_attr("returns", returns)
        trial.report(lower(returns), point)
        if origin == SEARCH and trial.should_prune():
            raise optuna.TrialPruned

    try:
        score = lower(returns_of(space.task, settings, space.task.seeds, report))
    except FAILURES as error:
        if origin == DEFAULTS and not isinstance(error, FloatingPointError):
            raise
        trial.set_user_attr("error", shortened(f"{type(error).__name__}: {error}", 300))
        return -np.inf
    trial.set_user_attr("seconds", time.time() - start)
    return score


def as_json(settings: Tuned) -> dict[str, Any]:
    """Return settings as JSON, with schedules as texts."""
    return json.loads(json.dumps(vars(settings), default=str))


def settings_of(values: dict[str, Any]) -> Tuned:
    """Return the settings of `as_json`; lists become tuples, and the texts of schedules are read by the agent."""
    given = values["arguments"].items()
    arguments = {name: tuple(value) if isinstance(value, list) else value for name, value in given}
    return Tuned(**values | {"arguments": arguments, "wrappers": tuple(values["wrappers"])})
