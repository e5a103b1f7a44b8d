"""The stages of scoring one picture as functions to be timed, in torch or in ONNX Runtime."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from rsfiqa.errors import ConfigError

if TYPE_CHECKING:
    from torch import Tensor

    from rsfiqa.assessor import RSFIQA
    from rsfiqa.encoders.grid import GridEncoder
    from rsfiqa.partition import Partition
    from rsfiqa.scoring.semantics import Semantics

Engine = Literal["eager", "compile", "onnx"]
ENGINES: tuple[Engine, ...] = get_args(Engine)

Steps = dict[str, Callable[[], Any]]

BOOKKEEPING = ("labels", "stem", "attend")
"""What comes after the backbones' features on their grid, the partition and the readings."""


@dataclass(frozen=True)
class Setting:
    """How scoring is run; a process each.

    Attributes:
        engine: `eager` and `compile` are torch's, `onnx` is ONNX Runtime.
        precision: of the backbones, `fp32` or `bf16`.
        threads: processor cores to use.
        model: a scorer's folder or hub id; None for the one that ships with the package.
        encoder_file, scorer_file: exported parts, for `onnx`.
    """

    engine: Engine
    precision: str
    threads: int
    model: str | None = None
    encoder_file: str = ""
    scorer_file: str = ""

    @property
    def name(self) -> str:
        cores = f"{self.threads} thread{'s' if self.threads > 1 else ''}"
        return f"{self.engine} {self.precision}, {cores}"


def obstacle(engine: Engine, precision: str) -> str | None:
    """What keeps an engine from being measured here, in a few words; None where nothing does."""
    if engine == "compile" and not _cpp_compiler():
        return "torch.compile needs a C++ compiler, and there is none"
    if engine == "onnx":
        if precision != "fp32":
            return "files are exported in fp32 only"
        try:
            import onnxruntime  # noqa: F401
            import onnxscript  # noqa: F401
        except ImportError:
            return 'it needs: pip install "rsfiqa[onnx]"'
    return None


def load(setting: Setting) -> RSFIQA:
    """The assessor of a setting, on the CPU, without a reader."""
    import torch

    from rsfiqa.cli.common import make_assessor

    torch.set_num_threads(setting.threads)
    assessor = make_assessor(
        model=setting.model, reader="none", device="cpu", precision=setting.precision
    )
    if setting.engine == "compile":
        for backbone in assessor.extractor.encoder.backbones:
            network: Any = backbone.model
            network.forward_intermediates = torch.compile(
                network.forward_intermediates, dynamic=False
            )
        stem: Any = assessor.extractor.stem
        scorer: Any = assessor.scorer
        stem.forward = torch.compile(stem.forward, dynamic=False)
        scorer.forward = torch.compile(scorer.forward, dynamic=False)
    return assessor


def compact_partition(side: int, regions: int) -> Partition:
    """A square picture in compact regions of about one size.

    Raises:
        ConfigError: a picture's grid cannot hold so many.
    """
    from rsfiqa.encoders.grid import grid_shape
    from rsfiqa.learning.rsa_bench import compact_regions
    from rsfiqa.partition import Partition

    rows, columns = grid_shape(side, side)
    if regions > rows * columns // 4:
        raise ConfigError(
            f"the grid of a {side}×{side} picture has {rows}×{columns} cells, too few for {regions} "
            "regions; give larger pictures or fewer regions."
        )
    return Partition(compact_regions(side, regions)[0].numpy())


def scoring_steps(assessor: RSFIQA, setting: Setting, side: int, regions: int) -> Steps:
    """Every stage of scoring a square photograph, and what stands beside it.

    Returns:
        `whole`, all but reading; its stages `encode`, `segment`, `labels`, `stem` and `attend`; and
        `backbones`, the same networks without grid, regions or attention. ONNX's `encode` holds the
        stem, and there are no `backbones` apart.
    """
    square = _photograph(side)
    pixels = _within_budget(assessor, square)
    partition = compact_partition(side, regions)
    if setting.engine == "onnx":
        return _onnx_steps(assessor, setting, square, pixels, partition)
    return _torch_steps(assessor, square, pixels, partition)


def reading_step(assessor: RSFIQA, reader: str, side: int, regions: int) -> Callable[[], Any]:
    """What a reader takes beyond the encoder's features, to the numbers that the scorer is shown."""
    from rsfiqa.reading.build import build_reader, precision_of
    from rsfiqa.reading.sentence_encoder import SentenceEncoder
    from rsfiqa.scoring.semantics import semantics_of

    extractor = assessor.extractor
    precision = precision_of(reader, extractor.encoder.precision)
    built = build_reader(reader, device="cpu", precision=precision, cache=False)
    sentences = SentenceEncoder.from_pretrained() if assessor.checkpoint.reads else None
    pixels = _within_budget(assessor, _photograph(side))
    partition = compact_partition(side, regions)
    grid = extractor.encode(pixels) if built.encoder_name == extractor.encoder.name else None

    def run() -> Any:
        readings = built.read(pixels, partition, grid)
        return readings if sentences is None else semantics_of(readings, sentences)

    return run


def resnet50_step(assessor: RSFIQA, setting: Setting, side: int) -> Callable[[], Any]:
    """A plain ResNet-50 on the same pixels, by torch's eager engine. Its time is that of any with
    these layers, so that its weights are random."""
    import timm
    import torch

    from rsfiqa.encoders.grid import to_tensor

    # In the layout that convolutions are fastest in: in bf16 the other takes three times as long.
    layout: dict[str, Any] = {
        "dtype": torch.bfloat16 if setting.precision == "bf16" else torch.float32,
        "memory_format": torch.channels_last,
    }
    network = timm.create_model("resnet50").eval().to(**layout)
    given = to_tensor(_within_budget(assessor, _photograph(side))).to(**layout)

    def run() -> Tensor:
        with torch.inference_mode():
            scores: Tensor = network(given)
            return scores

    return run


def _torch_steps(assessor: RSFIQA, square: Any, pixels: Any, partition: Partition) -> Steps:
    import torch

    from rsfiqa.encoders.grid import grid_shape, to_tensor
    from rsfiqa.observation import observe
    from rsfiqa.regions.grid_labels import grid_labels

    extractor = assessor.extractor
    given = to_tensor(pixels)
    shape = grid_shape(*pixels.shape[:2])
    grid = extractor.encode(pixels)
    seen = replace(extractor.reduce(grid, partition), semantics=_read(assessor, len(partition)))

    def whole() -> Any:
        found = observe(square, extractor, assessor.reader)
        return assessor.score_regions(found.features)

    @torch.inference_mode()
    def stem() -> Any:
        return extractor.stem(grid.positions, grid.context)

    return {
        "whole": whole,
        "backbones": lambda: without_regions(extractor.encoder, given),
        "encode": lambda: extractor.encode(pixels),
        "segment": lambda: extractor.segment(pixels, grid),
        "labels": lambda: grid_labels(partition, *shape),
        "stem": stem,
        "attend": lambda: assessor.score_regions(seen),
    }


def _onnx_steps(
    assessor: RSFIQA, setting: Setting, square: Any, pixels: Any, partition: Partition
) -> Steps:
    from rsfiqa.encoders.grid import grid_shape, to_tensor
    from rsfiqa.export.runtime import OnnxModel
    from rsfiqa.regions.grid_labels import grid_labels

    encoder = OnnxModel(setting.encoder_file, threads=setting.threads)
    scorer = OnnxModel(setting.scorer_file, threads=setting.threads)
    extractor = assessor.extractor
    shape = grid_shape(*pixels.shape[:2])
    no_cells = np.zeros(shape, dtype=np.float32)

    def encode(picture: Any = pixels) -> Any:
        return encoder({"pixels": to_tensor(picture).numpy(), "grid": no_cells})

    def attend(seen: Any, labels: Any, cut: Partition) -> Any:
        area = np.array([[region.area for region in cut.regions]], dtype=np.float32)
        given = {"features": seen["features"], "context": seen["context"]}
        given |= {"labels": labels[None], "area": area}
        semantics = _read(assessor, len(cut))
        if semantics is not None:
            given |= {name: part.numpy()[None] for name, part in vars(semantics).items()}
        return scorer(given)

    def whole() -> Any:
        small = _within_budget(assessor, square)
        seen = encode(small)
        cut = extractor.segmenter.segment(small, seen["semantic"][0])
        cut = cut.resize(*square.shape[:2])
        return attend(seen, grid_labels(cut, *shape), cut)

    seen = encode()
    labels = grid_labels(partition, *shape)
    return {
        "whole": whole,
        "encode": encode,
        "segment": lambda: extractor.segmenter.segment(pixels, seen["semantic"][0]),
        "labels": lambda: grid_labels(partition, *shape),
        "attend": lambda: attend(seen, labels, partition),
    }


def without_regions(encoder: GridEncoder, pixels: Tensor) -> Tensor:
    """The scorer's backbones used as backbones always are: maps, pooled over the whole picture.

    Args:
        encoder: whose backbones are run, on pictures of the sizes that it gives them.
        pixels: `[B, 3, H, W]`, RGB in 0..1.

    Returns:
        mean and deviation of every map side by side, `[B, 2ΣC]`.
    """
    import torch
    import torch.nn.functional as F

    from rsfiqa.encoders.grid import grid_shape

    rows, columns = grid_shape(pixels.shape[-2], pixels.shape[-1])
    pooled: list[Tensor] = []
    with torch.inference_mode():
        for backbone in encoder.backbones:
            sized, patch = pixels, backbone.patch_size
            if backbone.input_size == "grid":
                size = (rows * patch, columns * patch)
                sized = F.interpolate(pixels, size=size, mode="bicubic", antialias=True).clamp(0, 1)
            for feature_map in backbone(sized).maps:
                pooled.extend(torch.std_mean(feature_map, dim=(-2, -1), correction=0))
        return torch.cat(pooled, 1)


def _photograph(side: int) -> Any:
    from PIL import Image

    from rsfiqa.samples import sample_picture

    picture = Image.fromarray(sample_picture("astronaut"))
    return np.asarray(picture.resize((side, side), Image.Resampling.BICUBIC))


def _within_budget(assessor: RSFIQA, pixels: Any) -> Any:
    from rsfiqa.images import resize_to_budget

    return resize_to_budget(pixels, assessor.extractor.pixel_budget)


def _read(assessor: RSFIQA, regions: int) -> Semantics | None:
    """Readings of all regions, for a scorer that is shown any."""
    import torch

    from rsfiqa.scoring.semantics import Semantics
    from rsfiqa.types import DIMENSIONS, LEVELS

    if not assessor.checkpoint.reads:
        return None
    return Semantics(
        torch.zeros(regions, assessor.scorer.config.description_dim),
        torch.full((regions, len(DIMENSIONS), len(LEVELS)), 1 / len(LEVELS)),
        torch.ones(regions, dtype=torch.bool),
    )


def _cpp_compiler() -> str | None:
    for name in (os.environ.get("CXX"), "g++", "clang++"):
        if name and (found := shutil.which(name)):
            return found
    return None
