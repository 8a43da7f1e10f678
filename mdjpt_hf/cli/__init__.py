"""The `mdjpt` command: every option a newcomer needs, nothing heavy loaded before it is used."""

from mdjpt_hf.cli.program import app, main, pretrain_main

__all__ = ["app", "main", "pretrain_main"]
