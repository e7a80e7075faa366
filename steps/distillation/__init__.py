"""What a teacher tells a student: targets, their store, and how the two line up."""
