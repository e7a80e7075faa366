"""What a loss with weights of its own stands on."""

from dataclasses import dataclass


@dataclass(frozen=True)
class LossShape:
    """The sizes that a loss with weights is built for.

    Attributes:
        student_dim: Width of the student's states, of the layer that the loss compares.
        teacher_dim: Width of the teacher's states; 0 where it shows none.
        num_tokens: V of the target; 0 where it has no posteriors.
        num_codebooks: N of stored states; 0 for those of a live teacher.
        codebook_size: Entries of each.
    """

    student_dim: int
    teacher_dim: int = 0
    num_tokens: int = 0
    num_codebooks: int = 0
    codebook_size: int = 0
