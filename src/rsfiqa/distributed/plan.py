"""Which stages a run has, with how many workers, and what each of them takes of the cluster."""

from __future__ import annotations

from dataclasses import dataclass

from rsfiqa.errors import ConfigError


@dataclass(frozen=True)
class Pool:
    """Workers of one kind.

    Attributes:
        workers: how many processes.
        cpus, gpus: what each takes of the cluster; a fraction shares a core or GPU.
    """

    workers: int
    cpus: float
    gpus: float = 0.0


@dataclass(frozen=True)
class Plan:
    """The stages of a run.

    Attributes:
        assess: reads and scores; where `divide` is None, it decodes and divides, too.
        divide: decodes and divides on the processor, ahead of a GPU.
    """

    assess: Pool
    divide: Pool | None = None


def make_plan(
    cpus: float,
    gpus: float,
    *,
    segmenter: str = "embedded",
    reader: str = "none",
    device: str = "auto",
    workers: int | None = None,
    cpus_per_worker: float | None = None,
    gpus_per_worker: float | None = None,
    spare_cpus: float = 0.0,
) -> Plan:
    """Share a cluster out.

    Without a GPU every worker assesses its pictures from file to result, since dividing and scoring look
    at the same features. With GPUs, pictures are decoded and divided on the processors' cores, and read
    and scored on the GPUs, which then do not wait for the cores; a SAM, which is a network itself, divides
    where the GPU is.

    Args:
        cpus, gpus: what the cluster has.
        segmenter, reader, device: as for `RSFIQA.from_pretrained`.
        workers: processes that read and score; by default as many as there is room for.
        cpus_per_worker: by default 1; half a core where a worker mostly waits for `server:URL`.
        gpus_per_worker: by default 1 where there are GPUs and the device is not `cpu`; with 0.25, four
            workers share one.
        spare_cpus: what reading Parquet takes.

    Raises:
        ConfigError: the cluster has not so much.

    Example:
        >>> make_plan(8, 0).assess
        Pool(workers=8, cpus=1.0, gpus=0.0)
        >>> make_plan(32, 2)
        Plan(assess=Pool(workers=2, cpus=1.0, gpus=1.0), divide=Pool(workers=30, cpus=1.0, gpus=0.0))
    """
    share = _gpu_share(gpus, device, gpus_per_worker)
    each = cpus_per_worker or (0.5 if reader.startswith("server:") and not share else 1.0)
    if each > cpus:
        raise ConfigError(
            f"a worker is to have {each:g} cores and the cluster has {cpus:g}; set --cpus-per-worker."
        )
    free = cpus - min(spare_cpus, cpus / 2)  # where there is one core, they share it
    each = min(each, free)
    room = int(free / each)
    if not share:
        return Plan(Pool(workers or room, each))
    assess = Pool(workers or max(1, min(room, int(gpus / share))), each, share)
    left = int(free - assess.workers * each)
    if left < 1 or segmenter.startswith("sam:"):
        return Plan(assess)
    return Plan(assess, Pool(left, 1.0))


def _gpu_share(gpus: float, device: str, asked: float | None) -> float:
    """How much of a GPU a worker has."""
    if device not in {"auto", "cpu"} and not device.startswith("cuda"):
        raise ConfigError(
            f"Ray gives workers GPUs by itself; the device is auto, cpu or cuda, not {device}."
        )
    if asked is None:
        asked = 0.0 if device == "cpu" else float(gpus > 0 or device != "auto")
    if asked > gpus:
        raise ConfigError(
            f"a worker is to have {asked:g} GPUs and the cluster has {gpus:g}; set --gpus-per-worker, or "
            "--device cpu."
        )
    return asked
