"""Scores: counted once into a confusion matrix, every score a pure function of the counts.

For a loop of one's own: `confusion_matrix` of each picture, added up; `scores` of the sum, or `report` of all, with
names; `confidence` says how far that may be off. `count_boundaries` and `report_boundaries` do the same for outlines.
"""

from unet.metrics.boundary import BoundaryCounts, Tolerance, count_boundaries, report_boundaries
from unet.metrics.confusion import Scores, report, scores
from unet.metrics.confusion import confusion as confusion_matrix  # a module of that name lies here
from unet.metrics.resampling import confidence

__all__ = [
    "BoundaryCounts",
    "Scores",
    "Tolerance",
    "confidence",
    "confusion_matrix",
    "count_boundaries",
    "report",
    "report_boundaries",
    "scores",
]
