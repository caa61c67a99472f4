"""From pictures to masks: the predictor, and what makes it fast and small."""
