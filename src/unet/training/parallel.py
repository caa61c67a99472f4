"""Lightning Fabric for the device of this process: by itself, or as one of several that average their gradients."""

from __future__ import annotations

from inspect import signature
from typing import Any

import torch
from lightning_fabric import Fabric
from lightning_fabric.plugins.environments.cluster_environment import ClusterEnvironment
from lightning_fabric.strategies.ddp import DDPStrategy
from torch import Tensor
from torch.nn.parallel import DistributedDataParallel

from unet import processes
from unet.devices import Compute


def fabric_for(compute: Compute, uses_all_parameters: bool = True) -> Fabric:
    """Return what trains on a device in a precision.

    Parameters
    ----------
    compute : Compute
    uses_all_parameters : bool
        Every parameter has a part in the loss.
    """
    device = compute.device
    devices = [device.index or 0] if device.type == "cuda" else 1
    if processes.count() == 1:
        return Fabric(accelerator=device.type, devices=devices, precision=compute.precision)  # type: ignore[arg-type]
    # Statistics of batch norm stay each process's own until they are looked at: see `mean_of_all`.
    known = signature(DistributedDataParallel).parameters
    synchronised = "forward_sync_buffers" if "forward_sync_buffers" in known else "broadcast_buffers"  # as of old
    options: dict[str, Any] = {"find_unused_parameters": not uses_all_parameters, synchronised: False}
    strategy = DDPStrategy(cluster_environment=_Joined(), **options)
    fabric = Fabric(
        accelerator=device.type,
        devices=devices,
        num_nodes=processes.count(),
        strategy=strategy,
        precision=compute.precision,  # type: ignore[arg-type]  # a Literal of Fabric's
    )
    fabric.launch()
    return fabric


class _Joined(ClusterEnvironment):
    """Processes that have found each other, as Fabric sees them: each a machine of its own, with one device.

    So it makes no difference whether a process sees all devices of its machine, as under torchrun, or its own only.
    """

    @property
    def creates_processes_externally(self) -> bool:
        return True

    @property
    def main_address(self) -> str:
        return ""

    @property
    def main_port(self) -> int:
        return 0

    @staticmethod
    def detect() -> bool:
        return False

    def world_size(self) -> int:
        return processes.count()

    def set_world_size(self, size: int) -> None:
        pass

    def global_rank(self) -> int:
        return processes.place().rank

    def set_global_rank(self, rank: int) -> None:
        pass

    def local_rank(self) -> int:
        return 0

    def node_rank(self) -> int:
        return processes.place().rank


def own_device(device: torch.device) -> torch.device:
    """Return the device that this process computes on, where the processes of a machine share its GPUs out."""
    if processes.count() == 1 or device.type != "cuda":
        return device
    return torch.device("cuda", processes.place().local_rank % torch.cuda.device_count())


def mean_of_all(tensors: list[Tensor]) -> None:
    """Replace each tensor by the mean of those of all processes."""
    if processes.count() == 1 or not tensors:
        return
    total = torch.cat([tensor.flatten().float() for tensor in tensors])
    processes.add_up(total)
    means = torch.split(total / processes.count(), [tensor.numel() for tensor in tensors])
    torch._foreach_copy_(tensors, [mean.view_as(tensor) for mean, tensor in zip(means, tensors, strict=True)])
