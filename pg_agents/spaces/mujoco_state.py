"""The state of a MuJoCo simulation."""

from __future__ import annotations

from typing import Any

import numpy as np

from pg_agents.data.state import State

LAGGING = ("xpos", "xipos")  # as of the last step's beginning; environments read them before the next step


def is_simulation(value: Any) -> bool:  # noqa: ANN401
    """Return whether `value` is an MjData."""
    return type(value).__module__.partition(".")[0] == "mujoco" and type(value).__name__ == "MjData"


def simulation_state(data: Any) -> State:  # noqa: ANN401
    """Return MuJoCo's integration state (positions, velocities, warm start, time, …), and positions that lag."""
    import mujoco

    kind = int(mujoco.mjtState.mjSTATE_INTEGRATION)
    whole = np.empty(mujoco.mj_stateSize(data.model, kind))
    mujoco.mj_getState(data.model, data, whole, kind)
    return {"integration": whole, **{name: getattr(data, name).copy() for name in LAGGING}}


def set_simulation_state(data: Any, state: State) -> None:  # noqa: ANN401
    """Put an MjData of the same model into a state of `simulation_state`.

    Raises:
        ValueError: the state is that of another model.
    """
    import mujoco

    kind = int(mujoco.mjtState.mjSTATE_INTEGRATION)
    whole, expected = np.array(state["integration"], np.float64), mujoco.mj_stateSize(data.model, kind)
    if whole.shape != (expected,):
        raise ValueError(f"state: a simulation of {whole.size} numbers, expected {expected}")
    mujoco.mj_setState(data.model, data, whole, kind)
    for name in LAGGING:
        getattr(data, name)[...] = state[name]
