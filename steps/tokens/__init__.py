"""The units that models emit: their table, and text to ids and back."""
