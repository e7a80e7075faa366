"""RESULTS.md, from results.json."""
