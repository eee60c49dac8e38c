"""The layers of the house, read from its imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("pg_agents", "pg_envs", "envs", "benchmarks", "tests")

# What a module may import of ours; the longest prefix that matches counts.
ALLOWED = {
    "pg_agents.tree": (),
    "pg_agents.numbers": (),
    "pg_agents.shown": (),
    "pg_agents.seeding": (),
    "pg_agents.returns": (),
    "pg_agents.comparisons": ("pg_agents.returns",),
    "pg_agents.losses": (),
    "pg_agents.distributions": ("pg_agents.distributions",),
    "pg_agents.divergence": ("pg_agents.distributions",),
    "pg_agents.means": (),
    "pg_agents.rollout": ("pg_agents.means", "pg_agents.tree"),
    "pg_agents.masks": ("pg_agents.tree",),
    "pg_agents.pictures": (),
    "pg_agents.policies": (
        "pg_agents.tree",
        "pg_agents.rollout",
        "pg_agents.distributions",
        "pg_agents.masks",
        "pg_agents.normalize",
        "pg_agents.numbers",
        "pg_agents.pictures",
        "pg_agents.policies",
    ),
    "pg_agents.spaces": ("pg_agents.policies",),
    "pg_agents.normalize": (
        "pg_agents.masks",
        "pg_agents.pictures",
        "pg_agents.returns",
        "pg_agents.rollout",
        "pg_agents.tree",
    ),
    "pg_agents.minibatches": ("pg_agents.rollout", "pg_agents.tree"),
    "pg_agents.schedules": (),
    "pg_agents.acting": ("pg_agents.masks", "pg_agents.policies", "pg_agents.spaces", "pg_agents.tree"),
    "pg_agents.agents": (
        "pg_agents.acting",
        "pg_agents.agents",
        "pg_agents.comparisons",
        "pg_agents.numbers",
        "pg_agents.distributions",
        "pg_agents.divergence",
        "pg_agents.losses",
        "pg_agents.masks",
        "pg_agents.means",
        "pg_agents.minibatches",
        "pg_agents.normalize",
        "pg_agents.pictures",
        "pg_agents.policies",
        "pg_agents.returns",
        "pg_agents.rollout",
        "pg_agents.schedules",
        "pg_agents.seeding",
        "pg_agents.shown",
        "pg_agents.spaces",
        "pg_agents.tree",
    ),
    "pg_agents.preferences": (
        "pg_agents.losses",
        "pg_agents.numbers",
        "pg_agents.policies",
        "pg_agents.rollout",
        "pg_agents.seeding",
    ),
    "pg_agents.faults": ("pg_agents.masks", "pg_agents.tree"),
    "pg_agents.vectors": (),
    "pg_agents.workers": (),
    "pg_agents.stream": (
        "pg_agents.faults",
        "pg_agents.masks",
        "pg_agents.seeding",
        "pg_agents.shown",
        "pg_agents.tree",
        "pg_agents.vectors",
        "pg_agents.workers",
    ),
    "pg_agents.groups": ("pg_agents.numbers", "pg_agents.seeding", "pg_agents.stream"),
    "pg_agents.actor": (
        "pg_agents.distributions",
        "pg_agents.policies",
        "pg_agents.seeding",
        "pg_agents.spaces",
        "pg_agents.stream",
        "pg_agents.tree",
    ),
    "pg_agents.stacking": (
        "pg_agents.actor",
        "pg_agents.groups",
        "pg_agents.rollout",
        "pg_agents.stream",
        "pg_agents.tree",
    ),
    "pg_agents.collect": (
        "pg_agents.actor",
        "pg_agents.groups",
        "pg_agents.stacking",
        "pg_agents.numbers",
        "pg_agents.policies",
        "pg_agents.rollout",
        "pg_agents.stream",
        "pg_agents.tree",
    ),
    "pg_agents.simulate": (
        "pg_agents.distributions",
        "pg_agents.masks",
        "pg_agents.policies",
        "pg_agents.seeding",
        "pg_agents.spaces",
        "pg_agents.tree",
        "pg_agents.vectors",
    ),
    "pg_agents.record": (),
    "pg_agents.evaluate": (
        "pg_agents.actor",
        "pg_agents.agents.agent",
        "pg_agents.agents.making",
        "pg_agents.collect",
        "pg_agents.numbers",
        "pg_agents.record",
        "pg_agents.seeding",
        "pg_agents.stream",
    ),
    "pg_agents.progress": ("pg_agents.record", "pg_agents.rollout"),
    "pg_agents.probes": (
        "pg_agents.agents.agent",
        "pg_agents.policies",
        "pg_agents.record",
        "pg_agents.rollout",
        "pg_agents.schedules",
    ),
    "pg_agents.mismatch": ("pg_agents.distributions", "pg_agents.policies", "pg_agents.rollout"),
    "pg_agents.causes": ("pg_agents.mismatch", "pg_agents.rollout", "pg_agents.tree"),
    "pg_agents.drawn": ("pg_agents.mismatch",),
    "pg_agents.audit": (
        "pg_agents.causes",
        "pg_agents.drawn",
        "pg_agents.mismatch",
        "pg_agents.policies",
        "pg_agents.rollout",
        "pg_agents.tree",
    ),
    "pg_agents.train": (
        "pg_agents.agents.agent",
        "pg_agents.agents.making",
        "pg_agents.audit",
        "pg_agents.collect",
        "pg_agents.evaluate",
        "pg_agents.numbers",
        "pg_agents.probes",
        "pg_agents.progress",
        "pg_agents.record",
        "pg_agents.rollout",
        "pg_agents.spaces",
    ),
    "pg_agents": ("pg_agents",),
    "pg_envs": ("pg_envs",),
    "benchmarks": ("pg_agents", "pg_envs", "benchmarks"),
}
MAY_KNOW_PG_ENVS = ("pg_agents.cli", "pg_agents.gradients", "benchmarks")
FORBIDDEN = {
    "pg_envs": ("torch", "tensorboard", "scipy", "pg_agents"),
    "pg_agents.agents": ("gymnasium", "tensorboard", "torch.utils.tensorboard", "pg_agents.collect", "pg_envs"),
    "pg_agents.gradients": ("pg_agents.cli", "pg_agents.train"),
}


def modules():
    """Yield (dotted name, path) of every module of the project."""
    for folder, base in (("pg_agents", ROOT), ("benchmarks", ROOT), ("pg_envs", ROOT / "envs")):
        for path in sorted((base / folder).rglob("*.py")):
            yield ".".join(path.relative_to(base).with_suffix("").parts).removesuffix(".__init__"), path


def imports(path):
    """Return the dotted names a module imports; of `from a import b` both a and a.b."""
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.add(node.module)
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def within(name, prefixes):
    return any(name == prefix or name.startswith(prefix + ".") for prefix in prefixes)


def rule_of(name):
    return ALLOWED[max((key for key in ALLOWED if within(name, [key])), key=len)]


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: str(value) if "." in str(value) else "")
def test_a_module_imports_only_what_stands_to_its_left(name, path):
    allowed = rule_of(name) + (("pg_envs",) if within(name, MAY_KNOW_PG_ENVS) else ())
    tops = {imported for imported in imports(path) if within(imported, OURS)}
    parents = {key.rsplit(".", 1)[0] for key in allowed if "." in key}  # `from pg_agents import …` names the parent too
    wrong = {imported for imported in tops if not within(imported, allowed) and imported not in parents}
    assert not wrong, f"{name} imports {sorted(wrong)}"


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: str(value) if "." in str(value) else "")
def test_what_is_never_imported(name, path):
    for part, forbidden in FORBIDDEN.items():
        if within(name, [part]):
            wrong = {imported for imported in imports(path) if within(imported, forbidden)}
            assert not wrong, f"{name} imports {sorted(wrong)}"
    assert not {imported for imported in imports(path) if within(imported, ("envs", "tests"))}
    assert not imports(path) & {"pickle", "cloudpickle"}


def test_an_agent_never_inherits_from_another():
    for path in sorted((ROOT / "pg_agents" / "agents").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ClassDef) and any(base in ("Agent",) for base in map(ast.unparse, node.bases)):
                break
        else:
            continue
        bases = [ast.unparse(base) for base in node.bases]
        assert bases == ["Agent"], f"{path.name}: {node.name} inherits from {bases}"


def test_every_agent_file_has_one_agent_that_is_in_the_table():
    from pg_agents.agents import AGENTS, Agent

    found = {cls.name for cls in Agent.__subclasses__() if cls.__module__.startswith("pg_agents.")}
    assert found == set(AGENTS)
    assert all(not cls.__subclasses__() for cls in AGENTS.values())


def test_files_and_functions_stay_small():
    for name, path in modules():
        lines = path.read_text().count("\n")
        assert lines <= 250, f"{name} has {lines} lines"
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef):
                size = node.end_lineno - node.lineno + 1
                documented = ast.get_docstring(node)
                code = size - (len(documented.splitlines()) if documented else 0)
                assert code <= 45, f"{name}.{node.name} has {code} lines of code"


def test_there_is_no_package_called_envs():
    assert not (ROOT / "envs" / "__init__.py").exists()
