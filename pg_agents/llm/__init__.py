"""Pretrained language models as policies, critics and reward models."""

from pg_agents.llm.make_language_networks import folder_of, language_networks

__all__ = ["folder_of", "language_networks"]
