"""A term for lines that must enclose shapes: no gap may join two of them, and no line may part one."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from unet.losses.common import mask_ignored
from unet.losses.division import summed


def malis(
    logits: Tensor,
    target: Tensor,
    class_weights: Tensor | None = None,
    pixel_weights: Tensor | None = None,
    *,
    min_area: int = 1,
) -> Tensor:
    """The cross-entropy of the pixels that decide which shapes lines enclose.

    Shapes are the 4-connected components of class 0; every other class is line. Let the probability of a line be a
    height. The lowest way from one shape to another, over lines, 8-connected, has its highest pixel somewhere: a gap,
    if that is low. Of all such pixels those count by which flooding would join one group of shapes to the next, one
    fewer than there are shapes. Likewise, where lines are predicted inside of a shape that part it, those pixels by
    which flooding would join its parts.

    Parameters
    ----------
    logits, target, pixel_weights
        As `unet.losses` says. No way leads over pixels that do not count, and their weight is 1 otherwise.
    class_weights
        Without effect.
    min_area : int
        Shapes, and parts of them, of fewer pixels do not matter; of coarser levels of a network fewer of theirs.

    Notes
    -----
    The maximin loss [1]_ in the two passes of its constrained form [2]_; each joining counts once, not by the number of
    pairs of pixels that it joins. Next to a term for all pixels it needs a small factor: few pixels have all its
    gradient. 0 where there is nothing to keep apart or together. The host computes which pixels they are, so a GPU is
    waited for.

    References
    ----------
    .. [1] Turaga, Briggman, Helmstaedter, Denk, Seung: "Maximin affinity learning of image segmentation", NIPS 2009,
       arXiv:0911.5372.
    .. [2] Funke, Tschopp et al.: "Large Scale Image Segmentation with Structured Loss based Deep Learning for
       Connectome Reconstruction", IEEE TPAMI 41(7), 2019, arXiv:1709.02974.

    Examples
    --------
    >>> target = torch.tensor([[[0, 0, 1, 0, 0], [0, 0, 1, 0, 0]]])  # a line between two shapes
    >>> logits = 20.0 * (2 * target.unsqueeze(1) - 1)
    >>> round(malis(logits, target).item(), 4)
    0.0
    >>> logits[0, 0, 1, 2] = 0  # half of it is as likely as not: -ln 0.5
    >>> round(malis(logits, target).item(), 4)
    0.6931
    """
    batch = mask_ignored(logits, target, pixel_weights)
    # The logarithm of the odds of a line: it rises with the probability.
    odds = batch.logits[:, 0] if batch.binary else batch.logits[:, 1:].logsumexp(dim=1) - batch.logits[:, 0]
    lines = (batch.target > 0).cpu().numpy()
    counts = np.ones_like(lines) if batch.weights is None else (batch.weights > 0).cpu().numpy()
    gaps, bars = [], []
    for number, heights in enumerate(odds.detach().cpu().numpy()):
        first, line, counting = number * heights.size, lines[number], counts[number]
        gaps.append(first + passes(heights, line, counting, min_area))
        bars.append(first + passes(heights, heights > 0, counting & ~line, min_area))
    of_gaps, of_bars = (odds.flatten()[torch.from_numpy(np.concatenate(each)).to(odds.device)] for each in (gaps, bars))
    total, count = F.softplus(-of_gaps).sum() + F.softplus(of_bars).sum(), len(of_gaps) + len(of_bars)
    total, summed_count = summed(torch.stack([total, total.new_tensor(float(count))])).unbind()
    return total / summed_count.clamp(min=1)


def passes(
    heights: NDArray[np.floating], lines: NDArray[np.bool_], counts: NDArray[np.bool_], min_area: int = 1
) -> NDArray[np.int64]:
    """Return the pixels by which shapes are joined one after the other, as the water rises over lines.

    Parameters
    ----------
    heights : float array (H, W)
    lines : bool array (H, W)
    counts : bool array (H, W)
        Other pixels are walls.
    min_area : int
        Pixels; smaller shapes are joined without being counted.

    Returns
    -------
    int64 array (N,)
        Flat indices, from the lowest up.

    Examples
    --------
    >>> heights = np.array([[0, 3, 0, 1, 2, 0]], np.float32)
    >>> passes(heights, heights > 0, np.ones((1, 6), bool)).tolist()
    [4, 1]
    """
    from scipy.ndimage import label
    from scipy.sparse import csr_array
    from scipy.sparse.csgraph import minimum_spanning_tree

    framed = np.zeros((lines.shape[0] + 2, lines.shape[1] + 2), bool)  # a frame of walls
    framed[1:-1, 1:-1] = counts & ~lines
    shapes, count = label(framed)
    on_lines = np.flatnonzero(lines & counts)
    if count < 2 or not on_lines.size:
        return np.empty(0, np.int64)
    # A node for each shape, and one for each pixel of lines, by rising height.
    on_lines = on_lines[np.argsort(heights.ravel()[on_lines], kind="stable")]
    row, width = on_lines // lines.shape[1], framed.shape[1]
    places, own = on_lines + 2 * row + width + 1, np.arange(count, count + on_lines.size)
    nodes = shapes.ravel() - 1
    nodes[places] = own
    # Each pixel of a line is joined to the shapes and the lower pixels around it, at its own height.
    around = np.array([-width - 1, -width, -width + 1, -1, 1, width - 1, width, width + 1])
    beside = np.sort(nodes[places[:, None] + around], axis=1)
    kept = (beside >= 0) & (beside < own[:, None])
    kept[:, 1:] &= beside[:, 1:] != beside[:, :-1]
    degree = kept.sum(axis=1)
    starts = np.concatenate([np.zeros(count + 1, np.int32), np.cumsum(degree, dtype=np.int32)])
    heights_of_edges = np.repeat(own.astype(float), degree)  # by rank
    graph = csr_array((heights_of_edges, beside[kept], starts), shape=(starts.size - 1,) * 2)
    tree = minimum_spanning_tree(graph).tocoo()
    ends = _without_dead_ends(np.stack([tree.row, tree.col], axis=1), count)
    ends = ends[np.argsort(ends[:, 0], kind="stable")]
    is_counted = np.bincount(shapes.ravel(), minlength=count + 1)[1:] >= min_area
    joining = _joining(ends.tolist(), dict.fromkeys(np.flatnonzero(is_counted).tolist(), True))
    chosen: NDArray[np.int64] = on_lines[np.array(joining, np.int64) - count]
    return chosen


def _without_dead_ends(ends: NDArray[np.int32], shapes: int) -> NDArray[np.int32]:
    """Return the edges (N, 2) of a tree that lie between two of its first nodes."""
    while True:
        degree = np.bincount(ends.ravel(), minlength=shapes)
        degree[:shapes] = 2
        kept = (degree[ends] > 1).all(axis=1)
        if kept.all():
            return ends
        ends = ends[kept]


def _joining(ends: list[list[int]], is_counted: dict[int, bool]) -> list[int]:
    """Return the first node of each edge, taken in turn, by which two groups with a counted node become one."""
    root: dict[int, int] = {}

    def find(node: int) -> int:
        while (above := root.get(node, node)) != node:
            root[node] = node = root.get(above, above)
        return node

    joining = []
    for high, low in ends:
        first, second = find(low), find(high)
        root[first] = second
        if is_counted.get(first) and is_counted.get(second):
            joining.append(high)
        is_counted[second] = is_counted.get(first, False) or is_counted.get(second, False)
    return joining
