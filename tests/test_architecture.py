"""The layers of the house, read from its imports."""

import ast
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
OURS = ("pg_agents", "pg_envs", "envs", "benchmarks", "tests")

# The rooms in their order: a module imports from its own room and from those that stand above it.
ROOMS = (
    "at_once errors checks generators renamed schedules search seeding shown",
    "configuration",
    "manifest locks tensor_files",
    "folders",
    "_fast",
    "data",
    "distributions",
    "functional",
    "statistics",
    "spaces",
    "policies",
    "llm",
    "collection",
    "agents.common",
    "agents",
    "audit",
    "checkpoints",
    "training",
    "gradients",
    "comparison",
    "tuning",
    "cli",
)
ENVIRONMENT_ROOMS = ("core", "solve", "bandits classic mdps pictures tokens")
# the first: that its ids are known
MAY_KNOW_PG_ENVS = (
    *("pg_agents", "pg_agents.cli", "pg_agents.gradients", "pg_agents.training.known"),
    "pg_agents.llm.texts",  # prompts of a generating agent are encoded as those of environments
)
FORBIDDEN = {
    "pg_envs": ("torch", "tensorboard", "scipy", "pg_agents"),
    "pg_agents.agents": (
        "gymnasium",
        "tensorboard",
        "torch.utils.tensorboard",
        "pg_agents.collection.collector",
        "pg_agents.collection.collectors",
        "pg_envs",
    ),
    "pg_agents.gradients": ("pg_agents.cli", "pg_agents.training.loop"),
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


def floor_of(name, package, rooms):
    """Return (the place in the order, the room) of a module or of something in it; None for the package itself."""
    found = [
        (f"{package}.{room}", floor)
        for floor, row in enumerate(rooms)
        for room in row.split()
        if within(name, [f"{package}.{room}"])
    ]
    room, floor = max(found, key=lambda pair: len(pair[0]), default=(None, None))
    return floor, room


@pytest.mark.parametrize(("package", "rooms"), [("pg_agents", ROOMS), ("pg_envs", ENVIRONMENT_ROOMS)])
def test_a_room_imports_only_the_rooms_above_it(package, rooms):
    for name, path in modules():
        if not within(name, [package]) or name in (package, f"{package}.__main__"):
            continue
        floor, room = floor_of(name, package, rooms)
        assert room, f"{name} stands in no room"
        for imported in imports(path):
            if within(imported, [package]) and imported != package:
                other_floor, other = floor_of(imported, package, rooms)
                assert other, f"{name} imports {imported}, which is in no room"
                assert other_floor < floor or other == room, f"{name} imports {imported}"


def test_no_circles_of_imports():
    files = dict(modules())
    tops = set(OURS)  # what every import of something in them runs first
    graph = {name: (imports(path) & files.keys()) - {name} - tops for name, path in files.items()}
    standing = set(graph)
    while leaves := {name for name in standing if not graph[name] & standing}:
        standing -= leaves
    assert not standing, f"these import one another: {sorted(standing)}"


@pytest.mark.parametrize(("name", "path"), list(modules()), ids=lambda value: str(value) if "." in str(value) else "")
def test_only_some_know_the_other_package(name, path):
    allowed = {"pg_agents": ("pg_agents",), "pg_envs": ("pg_envs",), "benchmarks": OURS[:2] + ("benchmarks",)}
    allowed = allowed[name.split(".")[0]] + (("pg_envs",) if name in MAY_KNOW_PG_ENVS else ())
    wrong = {imported for imported in imports(path) if within(imported, OURS) and not within(imported, allowed)}
    assert not wrong or within(name, MAY_KNOW_PG_ENVS[1:]), f"{name} imports {sorted(wrong)}"


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

    def ours(base):
        return {cls.name for cls in base.__subclasses__() if cls.__module__.startswith("pg_agents.")}

    assert ours(Agent) == set(AGENTS)
    assert not any(ours(cls) for cls in AGENTS.values())


def test_an_agents_page_is_short():
    from pg_agents.agents import AGENTS

    for cls in AGENTS.values():
        lines = (ROOT / (cls.__module__.replace(".", "/") + ".py")).read_text().count("\n")
        assert lines <= 90, f"{cls.__name__} has {lines} lines"


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


def test_no_two_files_of_tests_have_one_name():
    """Without packages pytest imports them by their names alone."""
    names = [path.name for path in Path(__file__).parent.rglob("test_*.py")]
    assert sorted(names) == sorted(set(names))
