"""From model output to text."""
