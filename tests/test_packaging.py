"""What is built installs without the checkout, and works there."""

import os
import re
import subprocess
import sys
import tarfile
import tomllib
import venv
import zipfile
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import pytest

import pg_agents as pg

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
FOLDERS = {"pg_agents": ROOT / "pg_agents", "pg_envs": ROOT / "envs" / "pg_envs"}
NAME = re.compile(r"[A-Za-z0-9._-]+")
OWN_VERSIONS = {"mutation", "box2d", "mujoco"}  # extras that nothing here installs with constraints.txt


def sources():
    """Return the names of all files of the two packages, as they are to be installed."""
    return {
        f"{name}/{path.relative_to(folder).as_posix()}"
        for name, folder in FOLDERS.items()
        for path in folder.rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }


def test_the_version_is_one():
    (cited,) = re.findall(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.M)
    assert PROJECT["version"] == pg.__version__ == cited


def test_every_extra_is_pinned():
    """`pip install -c constraints.txt -e ".[EXTRA]"` installs what was tested, or the extra says that it does not."""
    pinned = {
        line.partition("==")[0].lower().replace("_", "-") for line in (ROOT / "constraints.txt").read_text().split()
    }
    extras = {name: needed for name, needed in PROJECT["optional-dependencies"].items() if name not in OWN_VERSIONS}
    needed = {NAME.match(one)[0].lower().replace("_", "-") for every in extras.values() for one in every}
    assert not needed - pinned - {"pg-agents"}


def test_types_are_told():
    assert {"pg_agents/py.typed", "pg_envs/py.typed", "pg_agents/__init__.pyi"} <= sources()


def run(*command, cwd, **more):
    kept = {name: value for name, value in os.environ.items() if name not in ("PYTHONPATH", "PYTHONHOME")}
    done = subprocess.run(list(map(str, command)), cwd=cwd, env=kept | more, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """Return the sdist, and the wheel that was made of it."""
    for package in ("build", "hatchling"):
        try:
            version(package)
        except PackageNotFoundError:
            pytest.skip(f"{package} is not installed")
    out = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--no-isolation", "--outdir", out, ROOT, cwd=out)
    (sdist,), (wheel,) = out.glob("*.tar.gz"), out.glob("*.whl")
    return sdist, wheel


@pytest.mark.slow
def test_the_wheel_has_every_file_of_both_packages(built):
    with zipfile.ZipFile(built[1]) as wheel:
        names = set(wheel.namelist())
        (metadata,) = (wheel.read(name).decode() for name in names if name.endswith("dist-info/METADATA"))
    assert {name for name in names if ".dist-info/" not in name} == sources()
    assert any(name.endswith("licenses/LICENSE") for name in names)
    head = metadata.partition("\n\n")[0]
    assert f"Version: {pg.__version__}\n" in head and "Requires-Python: >=3.11" in head and "Keywords: " in head
    assert "Provides-Extra: wandb" in head and "Classifier: Typing :: Typed" in head


@pytest.mark.slow
def test_the_sdist_has_what_tests_and_pages_need(built):
    with tarfile.open(built[0]) as sdist:
        names = {name.partition("/")[2] for name in sdist.getnames()}
    wanted = {
        "README.md",
        "CHANGELOG.md",
        "CITATION.cff",
        "LICENSE",
        "constraints.txt",
        "pyproject.toml",
        "docs/hub.md",
    }
    assert wanted | {"tests/test_packaging.py", "benchmarks/__main__.py"} <= names
    assert not {name for name in names if name.startswith((".venv", "runs/", ".git/")) or "__pycache__" in name}


@pytest.mark.slow
def test_the_installed_package_trains_from_its_console_script(built, tmp_path):
    """Our wheel alone is installed; what it needs is seen in the folders of this Python's packages."""
    venv.create(tmp_path / "venv", with_pip=False)
    python = tmp_path / "venv" / "bin" / "python"
    (packages,) = (tmp_path / "venv" / "lib").glob("python*/site-packages")
    seen = [path for path in sys.path if path.endswith(("site-packages", "dist-packages"))]
    (packages / "dependencies.pth").write_text("\n".join(seen) + "\n")
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check", "--no-cache-dir", "install"]
    run(*pip, "--no-index", "--no-deps", "--force-reinstall", "--ignore-installed", built[1], cwd=tmp_path)
    script = "import pg_agents, pg_envs, pg_agents.extras as e; print(pg_agents.__file__, pg_envs.__file__)"
    ours, envs, line = (
        run(python, "-c", f"{script}; print(e.install_line('wandb'))", cwd=tmp_path).replace("\n", " ").split(" ", 2)
    )
    assert Path(ours).parent == packages / "pg_agents" and Path(envs).parent == packages / "pg_envs"
    assert line.strip() == 'pip install "pg-agents[wandb]"'
    command, folder = tmp_path / "venv" / "bin" / "pg-agents", tmp_path / "elsewhere"
    folder.mkdir()
    train = ["train", "reinforce", "pg/BernoulliBandit-v0", "--total-steps", "200", "--run-dir", "r"]
    assert "pg-agents evaluate r" in run(command, *train, cwd=folder)
    assert "reinforce on pg/BernoulliBandit-v0" in run(command, "evaluate", "r", "--episodes", "4", cwd=folder)
    assert "average-reward" in run(command, "list", cwd=folder)
    assert {path.name for path in folder.iterdir()} == {"r"}
