"""All checks of a data set, one after the other."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from unet.config import DataConfig
from unet.data.classes import resolve_labels
from unet.data.finding import SEVERITIES, Finding, stop_on_errors
from unet.data.inspection.copies import copy_findings
from unet.data.inspection.files import faulty
from unet.data.inspection.masks import mask_findings
from unet.data.inspection.pictures import picture_findings
from unet.data.inspection.splits import split_findings
from unet.data.manifest import Description
from unet.data.pairs import Pair
from unet.data.scan import Scan, size_faults
from unet.data.splitting import Split
from unet.errors import DataError
from unet.labels import Labels


@dataclass(frozen=True)
class Survey:
    """What a data set holds and what is wrong with it.

    Attributes
    ----------
    description : Description
        What the settings and a `dataset.toml` say.
    scan : Scan
        Of all pairs.
    train, val, test : tuple of Pair
        The split; the test part only where one was asked for.
    labels : Labels or None
        None where the masks hold no classes; an error among the findings says why.
    findings : tuple of Finding
        Errors first, then warnings, then notes.
    """

    description: Description
    scan: Scan
    train: tuple[Pair, ...]
    val: tuple[Pair, ...]
    labels: Labels | None
    findings: tuple[Finding, ...]
    test: tuple[Pair, ...] = ()

    def usable_labels(self, what: str) -> Labels:
        """Return the class table of a data set, called `what`, that can be trained on.

        Raises
        ------
        DataError
            All errors among the findings, as one.
        """
        stop_on_errors(self.findings, what)
        if self.labels is None:
            raise DataError(f"{what} has no classes", "masks that hold some")
        return self.labels


def survey(
    scan: Scan,
    description: Description,
    settings: DataConfig,
    hold_out: Callable[[Labels | None], tuple[Split, list[Finding]]],
    known: Sequence[Finding] = (),
) -> Survey:
    """Run all checks on what a scan has found.

    Parameters
    ----------
    scan : Scan
        Of all pairs.
    description : Description
    settings : DataConfig
        What the user says about the masks.
    hold_out : callable
        Splits the pairs, when the classes are known (or that there are none), and says what is wrong with the split.
    known : sequence of Finding
        What pairing has found already.
    """
    findings = [*known, *faulty((*scan.faults, *size_faults(scan)))]
    labels = None
    if scan.pairs:
        findings += picture_findings(scan)
        labels, strange = resolve_labels(
            scan,
            classes=description.classes,
            mask_values=settings.mask_values,
            ignore=description.ignore,
            instances=settings.instances,
            root=description.root,
        )
        findings += strange
        findings += mask_findings(scan, labels)
        findings += copy_findings(scan, labels)
    elif not findings:
        findings.append(Finding("no-pairs", "error", "no pair of picture and mask", "at least two"))
    parts, faults = hold_out(labels)
    findings += faults
    if scan.pairs:
        findings += split_findings(scan.part(parts.train), scan.part(parts.val), labels)
    order = sorted(findings, key=lambda finding: SEVERITIES.index(finding.severity))
    return Survey(description, scan, parts.train, parts.val, labels, tuple(order), parts.test)
