"""Distillation losses: one function each, of one signature, found by its name in conf.toml."""
