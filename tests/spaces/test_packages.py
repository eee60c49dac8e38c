"""Packages that environments need: modules that register ids, and the lines that install what is missing."""

import re
import sys

import gymnasium as gym
import pytest

from pg_agents.errors import UserError
from pg_agents.extras import install_line
from pg_agents.spaces.environments import make_env
from pg_agents.spaces.packages import (
    REGISTERED_BY,
    game_of,
    how_to_install,
    import_module,
    untrusted_module,
)

IDS = {"ALE/Pong-v5": "ale_py", "MiniGrid-Empty-5x5-v0": "minigrid", "BabyAI-GoToObj-v0": "minigrid"}


def test_the_ids_cover_the_table():
    assert {next(start for start in REGISTERED_BY if env_id.startswith(start)) for env_id in IDS} == {*REGISTERED_BY}


@pytest.mark.parametrize(("env_id", "module"), IDS.items())
def test_known_ids_are_registered_by_their_module_without_asking(env_id, module):
    pytest.importorskip(module)
    before = list(sys.path)
    assert import_module(env_id) == env_id and sys.path == before
    assert untrusted_module(env_id) is None


@pytest.mark.parametrize(("env_id", "module"), IDS.items())
def test_a_known_module_that_is_missing_is_named_with_the_line_that_installs_it(env_id, module, monkeypatch, tmp_path):
    """A module of that name in the present folder is not it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / f"{module}.py").write_text("raise AssertionError('of the present folder')")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    monkeypatch.setattr("gymnasium.registry", {})
    monkeypatch.setattr("gymnasium.envs.registration.registry", {})
    line = {"ale_py": re.escape(install_line("ale_py")), "minigrid": "pip install minigrid"}[module]
    with pytest.raises(UserError, match=f"^env: there is no environment '{env_id}'; {module} registers it: {line}$"):
        make_env(env_id, 1, {})


@pytest.mark.parametrize(
    "env_id",
    ["Pong-v5", "PongNoFrameskip-v4", "PongDeterministic-v4", "Pong-ram-v0", "Pong", "ALE/pong-v5"],
)
def test_former_ids_of_games_lead_to_the_present_one(env_id, monkeypatch):
    pytest.importorskip("ale_py")
    import_module("ALE/Pong-v5")
    games = {known: spec for known, spec in gym.registry.items() if known.startswith("ALE/") or known == "CartPole-v1"}
    monkeypatch.setattr("gymnasium.registry", games)  # as if nobody had imported ale_py, which registers former ids
    monkeypatch.setattr("gymnasium.envs.registration.registry", games)
    with pytest.raises(UserError, match=f"^env: there is no environment '{env_id}'; did you mean ALE/Pong-v5\\?$"):
        make_env(env_id, 1, {})
    assert game_of("CartPole-v1") is None


def test_what_gymnasium_misses_is_installed_by_an_extra():
    assert how_to_install("opencv (cv2) is not installed") == f"Install it with: {install_line('ale_py')}"
    assert how_to_install("something else, an array") == "something else, an array"
