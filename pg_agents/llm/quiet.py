"""Libraries of language models say nothing of their own while a run shows how far it has come."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager

LIBRARIES = ("transformers", "peft", "accelerate", "huggingface_hub", "tokenizers")


@contextmanager
def quiet_libraries() -> Iterator[None]:
    """A context in which these libraries draw no bars, log only errors, and do not warn of their own next versions.

    Afterwards all is as before. Where transformers is not imported nothing is done.
    """
    transformers = sys.modules.get("transformers")
    if transformers is None:
        yield
        return
    logging = transformers.utils.logging
    bars, level = logging.is_progress_bar_enabled(), logging.get_verbosity()
    with warnings.catch_warnings():
        for category in (FutureWarning, DeprecationWarning):
            warnings.filterwarnings("ignore", category=category, module=rf"({'|'.join(LIBRARIES)})(\.|\Z)")
        logging.disable_progress_bar()
        logging.set_verbosity_error()
        try:
            yield
        finally:
            logging.set_verbosity(level)
            if bars:
                logging.enable_progress_bar()
