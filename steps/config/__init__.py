"""The settings of a recipe: their names, defaults and meaning. Nothing here imports torch."""
