"""Several seeds as they are typed."""

from __future__ import annotations

from pg_agents.errors import UserError


def seeds_typed(text: str | None, first: int | None) -> list[int] | None:
    """Return the seeds that `--seeds` asks for: so many from `first` on ("16"), or those in a list ("3,5,9").

    Args:
        text: what was typed; None: nothing.
        first: the seed that was typed; None: there was none.

    Raises:
        UserError: neither a number above 0 nor different seeds, or a list together with `first`.
    """
    if text is None:
        return None
    try:
        numbers = [int(word) for word in text.split(",")]
    except ValueError:
        numbers = []
    several = len(numbers) > 1
    if not numbers or min(numbers) < (0 if several else 1):
        raise UserError(f"seeds must be a number of seeds above 0, or different ones like 3,5,9, got {text!r}")
    if not several:
        return list(range(first or 0, (first or 0) + numbers[0]))
    if twice := [seed for seed in numbers if numbers.count(seed) > 1]:
        raise UserError(f"seeds: {twice[0]} is given twice; give different ones")
    if first is not None:
        raise UserError(f"seed: {first} has no effect, as --seeds {text} names all seeds; leave one of the two out")
    return numbers
