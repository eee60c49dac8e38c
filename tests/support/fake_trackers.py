"""Modules in the place of wandb, mlflow and trackio, which write down what they are told: no package is needed."""

import sys
from importlib.machinery import ModuleSpec
from types import ModuleType, SimpleNamespace

TRACKERS = ("wandb", "mlflow", "trackio")


class Told:
    """What a tracker was told: of each run its id, name, group, config, rows, results, and how it ended."""

    def __init__(self):
        self.runs, self.calls, self.broken = {}, [], False

    def begin(self, run_id, name, group, config):
        if self.broken:
            raise ConnectionError("nobody answers")
        run_id = run_id or f"id-{len(self.runs)}"
        self.calls.append(run_id)
        if run_id not in self.runs:
            new = {"name": name, "group": group, "config": config, "rows": [], "results": {}, "failed": None}
            self.runs[run_id] = SimpleNamespace(**new)
        return run_id

    def row(self, run_id, step, numbers):
        if self.broken:
            raise ConnectionError("nobody answers")
        self.runs[run_id].rows.append((step, dict(numbers)))


def install(monkeypatch, name):
    """Let `import name` find the module of that name here, and return what it is told."""
    told = Told()
    for one, module in {"wandb": _wandb, "mlflow": _mlflow, "trackio": _trackio}[name](told).items():
        module.__spec__ = ModuleSpec(one, None, origin="a test")
        monkeypatch.setitem(sys.modules, one, module)
    monkeypatch.delitem(sys.modules, f"pg_agents.training.trackers.on_{name}", raising=False)
    return told


def _module(name, **content):
    module = ModuleType(name)
    vars(module).update(content)
    return module


def _wandb(told):
    class Run:
        def __init__(self, run_id):
            self.id, self.url, self.summary = run_id, None, told.runs[run_id].results

        def log(self, numbers, step):
            told.row(self.id, step, numbers)

        def finish(self, exit_code):
            told.runs[self.id].failed = bool(exit_code)

    def init(*, project, name, group, dir, config, id, resume, mode, reinit, settings):
        assert (project, mode, resume, reinit) == ("pg-agents", "offline", "allow", "create_new")
        return Run(told.begin(id, name, group, config))

    return {"wandb": _module("wandb", login=lambda prompt: False, Settings=SimpleNamespace, init=init)}


def _mlflow(told):
    class Client:
        tracking_uri = "sqlite:///mlflow.db"

        def get_experiment_by_name(self, name):
            return None

        def create_experiment(self, name):
            return name

        def create_run(self, experiment, run_name, tags):
            assert experiment == "pg-agents"
            return SimpleNamespace(info=SimpleNamespace(run_id=told.begin(None, run_name, tags.get("group"), {})))

        def update_run(self, run_id, status):
            told.begin(run_id, None, None, None)
            assert status == "RUNNING"

        def log_batch(self, run_id, metrics=(), params=(), tags=()):
            run = told.runs[run_id]
            run.config |= {one.key: one.value for one in params}
            run.results |= {one.key: one.value for one in tags}
            scores = {one.key: one.value for one in metrics if one.key.startswith("summary/")}
            run.results |= scores
            if metrics and not scores:
                told.row(run_id, metrics[0].step, {one.key: one.value for one in metrics})

        def set_terminated(self, run_id, status):
            told.runs[run_id].failed = status == "FAILED"

    def metric(key, value, timestamp, step):
        assert timestamp > 1e12  # milliseconds
        return SimpleNamespace(key=key, value=value, step=step)

    def pair(key, value):
        return SimpleNamespace(key=key, value=value)

    entities = _module("mlflow.entities", Metric=metric, Param=pair, RunTag=pair)
    return {"mlflow": _module("mlflow", MlflowClient=Client, entities=entities), "mlflow.entities": entities}


def _trackio(told):
    class Run:
        def __init__(self, name):
            self.name = name

        def log(self, numbers, step):
            if "summary/failed" in numbers:
                told.runs[self.name].results |= numbers
            else:
                told.row(self.name, step, numbers)

        def finish(self):
            told.runs[self.name].failed = bool(told.runs[self.name].results["summary/failed"])

    def init(project, name, *, group, config, resume, embed, auto_log_gpu, auto_log_cpu):
        assert project == "pg-agents" and not (embed or auto_log_gpu or auto_log_cpu)
        assert resume == ("allow" if name in told.runs else "never")
        print("* what trackio prints")
        return Run(told.begin(name, name, group, config))

    return {"trackio": _module("trackio", init=init)}
