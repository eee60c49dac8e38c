"""What every test of language models needs is imported once, before the tests of seeded bugs fork."""

from transformers import PreTrainedModel  # noqa: F401 - two seconds
