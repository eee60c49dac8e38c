"""States as trees of numpy arrays and plain values, and their form on disk: arrays by name beside JSON.

A `State` is a dict with texts as keys, a list or a tuple of states, a numpy array or a numpy number, or a plain value:
None, bool, int of any size, float, str. Nothing that is read runs code: what is not one of these is refused.

In JSON lists, dicts and plain values stand for themselves, everything else is a dict with a key that begins with $:

- {"$array": name}: an array; with "dtype" and "shape" too, one whose bytes are stored (texts, complex numbers, …); with
  "order": "F", one whose first index changes fastest in memory, as a product of matrices may round otherwise then;
- {"$scalar": dtype, "value": …}: a number of numpy, whose arithmetic may round otherwise than Python's;
- {"$float": "nan" | "inf" | "-inf"}; {"$tuple": […]};
- {"$dict": [[key, value], …]}: a dict some key of which begins with $.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

State = Any  # dict[str, State], list[State], tuple[State, ...], an array, a numpy number, or a plain value
Arrays = dict[str, NDArray[Any]]

PLAIN = (type(None), bool, int, str)
STORED = "biuf"  # kinds of arrays that are stored as they are, in at most 8 bytes a number
SCALARS = "biufU"
REFUSED = "OV"


def to_arrays_and_json(state: State) -> tuple[Arrays, Any]:
    """Return a state's arrays by name, and the rest as values that `json.dumps` writes without loss.

    Raises:
        ValueError: something that is not a `State`; the message says where it stands.
    """
    arrays: Arrays = {}
    return arrays, _written(state, "state", arrays)


def from_arrays_and_json(arrays: Mapping[str, NDArray[Any]], values: Any) -> State:  # noqa: ANN401
    """Return the state that `to_arrays_and_json` has given as `arrays` and `values`; its arrays are copies.

    Raises:
        ValueError: the values are not of that form, or an array is missing.
    """
    try:
        return _read(arrays, values)
    except RecursionError as error:
        raise ValueError("state: it is nested too deep") from error


def _written(state: State, place: str, arrays: Arrays) -> Any:  # noqa: ANN401
    if type(state) in PLAIN:
        return state
    if type(state) is float:
        return state if math.isfinite(state) else {"$float": str(state)}
    if isinstance(state, np.ndarray):
        return _array_written(state, place, arrays)
    if isinstance(state, np.generic) and state.dtype.kind in SCALARS:
        return {"$scalar": state.dtype.str, "value": _written(state.item(), place, arrays)}
    if type(state) in (list, tuple):
        items = [_written(item, f"{place}/{i}", arrays) for i, item in enumerate(state)]
        return items if type(state) is list else {"$tuple": items}
    if type(state) is dict and all(type(key) is str for key in state):
        pairs = {key: _written(value, f"{place}/{key}", arrays) for key, value in state.items()}
        return {"$dict": list(map(list, pairs.items()))} if any(key.startswith("$") for key in pairs) else pairs
    raise ValueError(
        f"{place}: a state consists of arrays, numbers, texts, None, and dicts (with texts as keys), lists and tuples "
        f"of them, got {type(state).__name__}"
    )


def _array_written(array: NDArray[Any], place: str, arrays: Arrays) -> dict[str, Any]:
    kind = array.dtype
    if kind.kind in REFUSED:
        raise ValueError(f"{place}: an array of dtype {kind} cannot be stored; a state consists of numbers and texts")
    name = place
    while name in arrays:  # keys may contain the sign between keys
        name += "'"
    order = {"order": "F"} if array.flags.fnc else {}
    arrays[name] = array = np.ascontiguousarray(array).reshape(array.shape)
    if kind.kind in STORED and kind.itemsize <= 8 and kind.isnative:
        return {"$array": name, **order}
    arrays[name] = np.frombuffer(array.tobytes(), np.uint8)
    return {"$array": name, "dtype": kind.str, "shape": list(array.shape), **order}


def _read(arrays: Mapping[str, NDArray[Any]], values: Any) -> State:  # noqa: ANN401
    if type(values) in (*PLAIN, float):
        return values
    if type(values) is list:
        return [_read(arrays, value) for value in values]
    if type(values) is not dict:
        raise ValueError(f"state: expected JSON, got {type(values).__name__}")
    marks = [key for key in values if key.startswith("$")]
    if not marks:
        return {key: _read(arrays, value) for key, value in values.items()}
    try:
        return READERS[marks[0]](arrays, values)
    except (LookupError, TypeError, ValueError, OverflowError) as error:
        raise ValueError(f"state: {marks[0]} does not read as a part of a state: {error}") from error


def _read_array(arrays: Mapping[str, NDArray[Any]], values: dict[str, Any]) -> NDArray[Any]:
    array = np.array(arrays[values["$array"]])
    if "dtype" in values:
        kind = np.dtype(str(values["dtype"]))
        if kind.kind in REFUSED:
            raise ValueError(f"an array of dtype {kind}")
        array = np.frombuffer(array.tobytes(), kind).reshape(values["shape"])
    return array.copy("F" if values.get("order") == "F" else "C")


def _read_scalar(arrays: Mapping[str, NDArray[Any]], values: dict[str, Any]) -> np.generic:
    kind = np.dtype(str(values["$scalar"]))
    if kind.kind not in SCALARS:
        raise ValueError(f"a number of dtype {kind}")
    if kind.kind == "U":  # however long the dtype says that texts are
        return np.str_(values["value"])
    number: Any = np.array(_read(arrays, values["value"]), kind)[()]
    return number


def _read_float(arrays: Mapping[str, NDArray[Any]], values: dict[str, Any]) -> float:
    return {"nan": math.nan, "inf": math.inf, "-inf": -math.inf}[values["$float"]]


def _read_tuple(arrays: Mapping[str, NDArray[Any]], values: dict[str, Any]) -> tuple[State, ...]:
    return tuple(_read(arrays, value) for value in values["$tuple"])


def _read_dict(arrays: Mapping[str, NDArray[Any]], values: dict[str, Any]) -> dict[str, State]:
    return {str(key): _read(arrays, value) for key, value in values["$dict"]}


READERS: dict[str, Callable[[Mapping[str, NDArray[Any]], dict[str, Any]], State]] = {
    "$array": _read_array,
    "$scalar": _read_scalar,
    "$float": _read_float,
    "$tuple": _read_tuple,
    "$dict": _read_dict,
}
