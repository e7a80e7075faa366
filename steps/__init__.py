"""The commands of the stages, and the code that they import."""
