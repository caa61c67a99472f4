"""Losses: pure functions of logits and target, the ignored pixels out of all of them, computed in float32.

Every loss is called as `loss(logits, target, class_weights, pixel_weights)`, the last two of which may be left out:

- `logits`, float (N, K, H, W). K = 1 means one class against the rest by a sigmoid; the target then holds 0 and 1.
- `target`, int64 (N, H, W), class indices, `IGNORED` where a pixel does not count.
- `class_weights`, float (K,): how much a pixel of each class counts. With K = 1, two weights, of the target's 0 and 1
  (a single one has no effect). The terms that look at one pixel at a time honour them: ce, bce, focal, topk,
  boundary. The others compare whole sets of pixels, where a small class counts as much as a large one as it is.
- `pixel_weights`, float (N, H, W), 0 or more: how much each pixel counts, 0 as little as an ignored one. All terms
  honour them, malis only whether they are 0.

The result is a float32 scalar (float64 for float64 logits), 0 with a gradient of 0 where no pixel counts. No term
but malis makes the host wait for a device: none asks for a value, and no shape depends on one.
"""

from unet.losses.common import Loss
from unet.losses.connectivity import malis
from unet.losses.jaccard import lovasz
from unet.losses.overlap import dice, fbeta, generalised_dice, micro_dice, tversky
from unet.losses.pixelwise import balanced_bce, bce, boundary, cross_entropy, focal, topk
from unet.losses.text import DEFAULT_LOSS, TERMS, parse
from unet.losses.thin import cldice

__all__ = [
    "DEFAULT_LOSS", "TERMS", "Loss", "balanced_bce", "bce", "boundary", "cldice", "cross_entropy", "dice", "fbeta",
    "focal", "generalised_dice", "lovasz", "malis", "micro_dice", "parse", "topk", "tversky",
]  # fmt: skip
