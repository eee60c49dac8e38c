"""Pretrained language models as policies, critics and reward models."""

from pg_agents.llm.language_config import LanguageConfig
from pg_agents.llm.make_language_networks import folder_of, language_networks

__all__ = ["LanguageConfig", "folder_of", "language_networks"]
