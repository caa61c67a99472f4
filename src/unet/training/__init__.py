"""Training: optimisers and schedules, the loop, checkpoints and resume."""
