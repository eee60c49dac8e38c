"""Token generation as a single environment, documented in Gymnasium's sections."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from pg_envs.core.rows import RowEnv
from pg_envs.tokens.tokens import TokenVectorEnv


class TokenEnv(RowEnv):
    """Token generation.

    ## Description
    A text grows token by token. The state is a context window of N tokens: the action is enqueued and, if the window
    is full, the least recent token is dequeued. The user gives prompts and a scoring function:

        env = TokenEnv(
            prompts=[[1, 4], [1, 5]],                       # token ids
            score=lambda prompt, completion: float(completion == [prompt[-1], 3]),
            vocabulary=6, eos=3, max_new_tokens=4,
        )

    ## Action Space
    `Discrete(vocabulary)`: the next token. The end-of-sequence token is an action like the others.

    ## Observation Space
    `Dict(tokens=Box(0, vocabulary − 1, (N,), int64), length=Discrete(N + 1))`: `tokens[:length]` is the text in the
    window, oldest token first, and the rest is padding.

    ## Rewards
    `score(prompt, completion)` when the episode ends, 0 before; `token_reward(prompt, completion so far)` is added at
    each step if given. The completion holds every sampled token, the end-of-sequence token included. A function
    that raises or returns no finite number gives a RuntimeError that shows the prompt and the completion.

    ## Starting State
    A prompt, drawn uniformly from `prompts` or by the callable `prompts(generator)`.

    ## Episode End
    Terminated by an end-of-sequence token, by `stop` or by the `max_new_tokens`-th token; `info["stop_reason"]` is
    "eos", "verifier" or "length" ("" before); if several hold, the first of these. The cap is part of the
    task, so it never truncates.

    ## Arguments
    - `prompts`: token sequences, or a callable generator → token sequence.
    - `score`: callable (prompt, completion) → number; the prompt is a tuple of ids, the completion a list.
    - `vocabulary`: the number of token ids, V.
    - `eos`: the end-of-sequence id, or several.
    - `max_new_tokens`: the most tokens in a completion.
    - `window`: N; by default the longest prompt plus `max_new_tokens`, so that nothing is ever dequeued.
    - `max_prompt_length`: needed if `prompts` is a callable and `window` is not given.
    - `token_reward`: callable (prompt, completion so far) → number, or None.
    - `stop`: sequences of ids that end a completion (they count only if the completion contains them whole), or a
      callable (prompt, completion so far) → bool that is called after every token, or None.
    - `score_batch`: instead of `score` (None), callable (prompts, completions, numbers) → numbers, for all completions
      that end in one step; prompt i is `prompts[numbers[i]]`, −1 if a callable drew it.
    - `task`: a `TokenTask`, instead of all arguments above; `copy`: see `TokenVectorEnv`.
    - `pad`: the id after the end of the text, 0; `decode`: callable ids → text; None: the ids are shown.
    - `render_mode`: "ansi" gives the text so far.

    An argument out of range raises ValueError at construction, a prompt drawn by a callable at reset.

    ## References
    B. Van Roy's lecture note on policy gradients, section 3.2; R. Ramamurthy et al., ICLR 2023.

    ## Version History
    - v0: initial version.
    """

    rows: TokenVectorEnv
    vector_form = TokenVectorEnv
    metadata: dict[str, Any] = {"render_modes": ["ansi"], "render_fps": 4}

    def __init__(self, render_mode: str | None = None, **arguments: Any) -> None:  # noqa: ANN401
        super().__init__(render_mode, **arguments)
        self.task = self.rows.task
        self.metadata = {**self.metadata, "append_only": self.rows.metadata["append_only"]}

    def decode(self, ids: Iterable[int]) -> str:
        """Return token ids as readable text."""
        return self.rows.decode(ids)

    def render(self) -> str | None:
        """Return the text so far, prompt and completion, in render mode "ansi"."""
        return self.rows.texts()[0] if self.render_mode == "ansi" else None
