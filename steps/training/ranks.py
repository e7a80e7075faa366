"""Gradient ranks: a batch is cut into parts, on as many processes or fewer, and their gradients are summed."""

import datetime
import os
from dataclasses import dataclass

import torch
import torch.distributed as dist
from torch import Tensor, nn

from steps.nnet.device import require_gpus


@dataclass(frozen=True)
class Ranks:
    """This process among those that train one model."""

    rank: int = 0
    world: int = 1
    device: str = "cpu"

    @classmethod
    def join(cls, gpus: int) -> "Ranks":
        """Joins the processes that the launcher started, which ends all when one dies; alone, the only one."""
        world, rank = int(os.environ.get("WORLD_SIZE", "1")), int(os.environ.get("RANK", "0"))
        device = f"cuda:{os.environ.get('LOCAL_RANK', '0')}" if gpus else "cpu"
        if gpus:
            require_gpus(gpus)
            torch.cuda.set_device(device)
        if world > 1:  # the others wait while the main process looks at dev
            dist.init_process_group("nccl" if gpus else "gloo", timeout=datetime.timedelta(minutes=30))
        return cls(rank, world, device)

    @property
    def is_main(self) -> bool:
        """Whether this process writes files and looks at dev."""
        return self.rank == 0

    def parts(self, items: list, count: int) -> list[tuple[int, list]]:
        """This process's share of `items` cut into `count` parts: number and content of each that is not empty."""
        return [(part, items[part::count]) for part in range(self.rank, count, self.world) if items[part::count]]

    def sum(self, values: list[float]) -> list[float]:
        """Sums numbers over all processes."""
        if self.world == 1:
            return values
        total = torch.tensor(values, dtype=torch.float64, device=self.device)
        dist.all_reduce(total)
        return total.tolist()

    def sum_gradients(self, model: nn.Module) -> None:
        """Sums the gradients of all processes in place; a weight that has one in none keeps none, as in one process."""
        if self.world == 1:
            return
        params = [p for p in model.parameters() if p.requires_grad]
        if not params:
            return
        grads = [p.grad if p.grad is not None else torch.zeros_like(p) for p in params]
        found = torch.tensor([float(p.grad is not None) for p in params], device=self.device)
        flat: Tensor = torch.cat([*(g.reshape(-1) for g in grads), found])
        dist.all_reduce(flat)
        *parts, found = flat.split([*(g.numel() for g in grads), len(params)])
        for p, part, count in zip(params, parts, found.tolist(), strict=True):
            p.grad = part.view_as(p) if count else None

    def broadcast(self, x: Tensor) -> None:
        """Gives all processes the main one's tensor, in place."""
        if self.world > 1:
            dist.broadcast(x, 0)

    def wait(self) -> None:
        """Waits until all processes are here."""
        if self.world > 1:
            dist.barrier()
