"""The registered tasks of token generation, in Gymnasium's two forms."""

from pg_envs.tokens import tasks
from pg_envs.tokens.token_env import TokenEnv
from pg_envs.tokens.tokens import TokenVectorEnv


class CopyVectorEnv(TokenVectorEnv):
    """B copies of `CopyEnv`, stepped together."""

    make_task = staticmethod(tasks.copy)


class CopyEnv(TokenEnv):
    """Copying.

    ## Description
    The prompt shows symbols and the completion must repeat them: "abcd→abcd.".

    ## Action Space
    `Discrete`: the next token, of a vocabulary 4 + symbols: padding 0, BOS 1, SEP 2, EOS 3, then the alphabet.

    ## Observation Space
    As in `TokenEnv`: the tokens so far and their number.

    ## Rewards
    At the end, the number of positions at which the completion agrees with the right one (its EOS included) over the
    longer of their lengths: 1 for exactly the right completion and for nothing else.

    ## Starting State
    BOS, `length` symbols drawn uniformly, SEP.

    ## Episode End
    Terminated by EOS or by the `max_new_tokens`-th token.

    ## Arguments
    - `length`: the number of symbols in the prompt, 4.
    - `symbols`: the size of the alphabet, 4 (a, b, c, d).
    - `max_new_tokens`: the most tokens in a completion, 8 (`length` + 4).
    - `window`, `render_mode`: as in `TokenEnv`; the vector form has `group_size` too.

    ## Version History
    - v0: initial version.
    """

    vector_form = CopyVectorEnv


class ReverseVectorEnv(TokenVectorEnv):
    """B copies of `ReverseEnv`, stepped together."""

    make_task = staticmethod(tasks.reverse)


class ReverseEnv(TokenEnv):
    """Reversing.

    ## Description
    The prompt shows symbols and the completion must repeat them from the last to the first: "abcd→dcba.".

    ## Action Space
    `Discrete`: the next token, of a vocabulary 4 + symbols: padding 0, BOS 1, SEP 2, EOS 3, then the alphabet.

    ## Observation Space
    As in `TokenEnv`: the tokens so far and their number.

    ## Rewards
    At the end, the number of positions at which the completion agrees with the right one (its EOS included) over the
    longer of their lengths: 1 for exactly the right completion and for nothing else.

    ## Starting State
    BOS, `length` symbols drawn uniformly, SEP.

    ## Episode End
    Terminated by EOS or by the `max_new_tokens`-th token.

    ## Arguments
    - `length`: the number of symbols in the prompt, 4.
    - `symbols`: the size of the alphabet, 4 (a, b, c, d).
    - `max_new_tokens`: the most tokens in a completion, 8 (`length` + 4).
    - `window`, `render_mode`: as in `TokenEnv`; the vector form has `group_size` too.

    ## Version History
    - v0: initial version.
    """

    vector_form = ReverseVectorEnv


class SortVectorEnv(TokenVectorEnv):
    """B copies of `SortEnv`, stepped together."""

    make_task = staticmethod(tasks.sort)


class SortEnv(TokenEnv):
    """Sorting.

    ## Description
    The prompt shows symbols and the completion must bring them into alphabetical order: "cbad→abcd.".

    ## Action Space
    `Discrete`: the next token, of a vocabulary 4 + symbols: padding 0, BOS 1, SEP 2, EOS 3, then the alphabet.

    ## Observation Space
    As in `TokenEnv`: the tokens so far and their number.

    ## Rewards
    At the end, the number of positions at which the completion agrees with the right one (its EOS included) over the
    longer of their lengths: 1 for exactly the right completion and for nothing else.

    ## Starting State
    BOS, `length` symbols drawn uniformly, SEP.

    ## Episode End
    Terminated by EOS or by the `max_new_tokens`-th token.

    ## Arguments
    - `length`: the number of symbols in the prompt, 4.
    - `symbols`: the size of the alphabet, 4 (a, b, c, d).
    - `max_new_tokens`: the most tokens in a completion, 8 (`length` + 4).
    - `window`, `render_mode`: as in `TokenEnv`; the vector form has `group_size` too.

    ## Version History
    - v0: initial version.
    """

    vector_form = SortVectorEnv


class ParityVectorEnv(TokenVectorEnv):
    """B copies of `ParityEnv`, stepped together."""

    make_task = staticmethod(tasks.parity)


class ParityEnv(TokenEnv):
    """Parity.

    ## Description
    The prompt shows bits and the completion must say whether the number of ones is even (0) or odd (1): "0111→1."

    ## Action Space
    `Discrete`: the next token, of a vocabulary 6: padding 0, BOS 1, SEP 2, EOS 3, then 0 and 1.

    ## Observation Space
    As in `TokenEnv`: the tokens so far and their number.

    ## Rewards
    At the end, the number of positions at which the completion agrees with the right one (its EOS included) over the
    longer of their lengths: 1 for exactly the right completion and for nothing else.

    ## Starting State
    BOS, `length` bits drawn uniformly, SEP.

    ## Episode End
    Terminated by EOS or by the `max_new_tokens`-th token.

    ## Arguments
    - `length`: the number of bits in the prompt, 4.
    - `max_new_tokens`: the most tokens in a completion, 5.
    - `window`, `render_mode`: as in `TokenEnv`; the vector form has `group_size` too.

    ## Version History
    - v0: initial version.
    """

    vector_form = ParityVectorEnv


class AdditionVectorEnv(TokenVectorEnv):
    """B copies of `AdditionEnv`, stepped together."""

    make_task = staticmethod(tasks.addition)


class AdditionEnv(TokenEnv):
    """Addition.

    ## Description
    The completion must be the sum of two numbers, both written without leading zeros: "37+5=42."

    ## Action Space
    `Discrete`: the next token, of a vocabulary 15: padding 0, BOS 1, "=" 2, EOS 3, the digits 0 to 9 and "+".

    ## Observation Space
    As in `TokenEnv`: the tokens so far and their number.

    ## Rewards
    At the end, the number of positions at which the completion agrees with the right one (its EOS included) over the
    longer of their lengths: 1 for exactly the right completion and for nothing else.

    ## Starting State
    BOS, a number, "+", a number, "="; the numbers are uniform on 0 … 10^`digits` − 1.

    ## Episode End
    Terminated by EOS or by the `max_new_tokens`-th token.

    ## Arguments
    - `digits`: the most digits of either number, 2.
    - `max_new_tokens`: the most tokens in a completion, 7 (`digits` + 5), or 8 with a tokenizer.
    - `split`, `held_out`: which pairs are asked, by default "all"; see `addition_pairs`.
    - `tokenizer`: a language model's, or its folder: the question is in words, scored 0 or 1; see `addition_text`.
    - `window`, `render_mode`: as in `TokenEnv`; the vector form has `group_size` too.

    ## Version History
    - v0: initial version.
    """

    vector_form = AdditionVectorEnv


class ShorterVectorEnv(TokenVectorEnv):
    """B copies of `ShorterEnv`, stepped together."""

    make_task = staticmethod(tasks.shorter)


class ShorterEnv(TokenEnv):
    """Ending early: the shorter the completion, the better.

    ## Description
    Whatever the prompt shows, the best completion is EOS alone: "abcd→."

    ## Action Space
    `Discrete`: the next token, of a vocabulary 4 + symbols: padding 0, BOS 1, SEP 2, EOS 3, then the alphabet.

    ## Observation Space
    As in `TokenEnv`: the tokens so far and their number.

    ## Rewards
    At the end, 1 − n / `max_new_tokens` with n the number of tokens before EOS; 0 without EOS.

    ## Starting State
    BOS, `length` symbols drawn uniformly, SEP.

    ## Episode End
    Terminated by EOS or by the `max_new_tokens`-th token.

    ## Arguments
    - `length`: the number of symbols in the prompt, 4.
    - `symbols`: the size of the alphabet, 4 (a, b, c, d).
    - `max_new_tokens`: the most tokens in a completion, 8.
    - `window`, `render_mode`: as in `TokenEnv`; the vector form has `group_size` too.

    ## Version History
    - v0: initial version.
    """

    vector_form = ShorterVectorEnv
