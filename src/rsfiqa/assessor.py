"""The three steps in a row: a picture goes in, its assessment comes out."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, Literal

import numpy.typing as npt
import torch

from rsfiqa import __version__
from rsfiqa.devices import Precision, choose_device, require_precision
from rsfiqa.encoders.build import build_encoder
from rsfiqa.errors import ConfigError, RsfiqaError
from rsfiqa.extraction import FeatureExtractor, PictureFeatures
from rsfiqa.hub import HubModel
from rsfiqa.images import ImageSource, LoadedImage, load_image, split_batch
from rsfiqa.images.limits import pixel_limit
from rsfiqa.images.resize import fit_within
from rsfiqa.observation import Observation, observe
from rsfiqa.parallel import cpu_workers, parallel_map
from rsfiqa.partition import Partition
from rsfiqa.reading.base import NoReader, Reader
from rsfiqa.reading.build import DEFAULT_READER, build_reader, precision_of, with_cache
from rsfiqa.regions.base import Segmenter
from rsfiqa.regions.build import build_segmenter
from rsfiqa.regions.given import NAME as GIVEN
from rsfiqa.regions.given import GivenRegions, given_or_none
from rsfiqa.scoring.checkpoint import Checkpoint, default_folder, load_checkpoint
from rsfiqa.scoring.model import ScorerOutput
from rsfiqa.scoring.semantics import TextEncoder, stack_semantics
from rsfiqa.types import Assessment, ModelInfo, RegionAssessment


class RSFIQA(HubModel, library_name="rsfiqa"):
    """Region-aware image quality assessment.

    Make one with `from_pretrained`, then call `assess` for every picture; `save_pretrained` and
    `push_to_hub` keep and share its scorer.

    Args:
        checkpoint: the scorer and what belongs to it.
        extractor: encoder, segmenter and stem.
        reader: step 2.
        regions: files of regions to use instead of segmenting.
        max_pixels: larger pictures are refused before they are decoded; None for the default.
        sentences: embeds descriptions, for a scorer that was trained with readings.

    Raises:
        ConfigError: the scorer is to see readings and nothing embeds their descriptions.

    Example:
        >>> from rsfiqa.samples import sample_picture
        >>> assessment = RSFIQA.from_pretrained().assess(sample_picture("astronaut"))
        >>> total = sum(region.weight * region.score for region in assessment.regions)
        >>> abs(total - assessment.score) < 1e-4
        True
    """

    def __init__(
        self,
        checkpoint: Checkpoint,
        extractor: FeatureExtractor,
        *,
        reader: Reader | None = None,
        regions: GivenRegions | None = None,
        max_pixels: int | None = None,
        sentences: TextEncoder | None = None,
    ) -> None:
        self.checkpoint = checkpoint
        self.extractor = extractor
        self.scorer = checkpoint.scorer.to(extractor.device).eval()
        self.reader = reader or NoReader()
        shown = _shows(checkpoint, self.reader)
        if shown and sentences is None:
            raise ConfigError(
                f"the scorer {checkpoint.name} was trained with readings and needs their "
                "descriptions embedded; give sentences=SentenceEncoder.from_pretrained(), or use "
                "RSFIQA.from_pretrained."
            )
        # A scorer that never saw a reading has untaught maps for them, so it is shown none.
        self.sentences = sentences if shown else None
        self.regions = regions
        self.max_pixels = max_pixels

    @classmethod
    def from_pretrained(  # type: ignore[override]
        cls,
        model: str | Path | Checkpoint | None = None,
        *,
        segmenter: str | Segmenter = "embedded",
        reader: str | Reader = DEFAULT_READER,
        regions: str | Path | GivenRegions | None = None,
        device: str = "auto",
        precision: Precision = "fp32",
        cache_readings: bool | str | Path | None = None,
        max_pixels: int | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        force_download: bool = False,
        local_files_only: bool = False,
    ) -> RSFIQA:
        """Load a scorer with its encoder; the first call fetches the encoder's weights.

        Args:
            model: as for `load_scorer`, or what that loaded.
            segmenter: `embedded`, `grid`, `grid:N` or `sam:MODEL` (see
                `rsfiqa.regions.build.build_segmenter`), or an object that segments.
            reader: `none`, `embedded`, `hf:MODEL` or `server:URL` (see
                `rsfiqa.reading.build.build_reader`, which also takes their settings), or an object
                that reads. A scorer that was trained with readings is shown them; they need not
                be by the reader that it was trained with, though that one it knows best. Any other
                scorer gives the same scores whoever reads.
            regions: a folder of files with the regions of each picture, matched by name, to use
                instead of segmenting; see `rsfiqa.regions.given`.
            device: `auto` (a CUDA device where there is one), `cpu`, `cuda`, `cuda:1`, `mps`.
            precision: `bf16` halves the time of transformers on processors made for it and moves
                scores by some tenths of a point.
            cache_readings: keep readings on disk, so that the same regions are read once: True, or
                the folder to use as cache. None keeps those of `hf` and `server`, which are slow or
                cost money, False none; see `rsfiqa.reading.cache`.
            max_pixels: refuse larger pictures; None for the default limit.
            revision, cache_dir, token, force_download, local_files_only: as everywhere on the hub,
                for a scorer of the hub; see `load_scorer`.

        Raises:
            AssetError: weights cannot be had or read.
            ConfigError: an argument is not among those accepted.
            DataError: the folder of regions cannot be read or holds none.
            MissingExtraError: the reader needs a package that is not installed.
        """
        require_precision(precision)
        given = given_or_none(regions, segmenter)
        chosen_device = choose_device(device)
        pixel_limit(max_pixels)
        if isinstance(reader, str):
            reader = build_reader(
                reader,
                device=chosen_device,
                precision=precision_of(reader, precision),
                cache=cache_readings,
            )
        else:
            reader = with_cache(reader, cache_readings)
        if isinstance(segmenter, str):
            segmenter = build_segmenter(segmenter, device=chosen_device)
        if isinstance(model, Checkpoint):
            checkpoint = model
        else:
            checkpoint = load_scorer(
                model,
                revision=revision,
                cache_dir=cache_dir,
                token=token,
                force_download=force_download,
                local_files_only=local_files_only,
            )
        encoder = build_encoder(checkpoint.encoder, precision=precision)
        extractor = FeatureExtractor(
            encoder,
            segmenter,
            checkpoint.stem,
            device=chosen_device,
        )
        return cls(
            checkpoint,
            extractor,
            reader=reader,
            regions=given,
            max_pixels=max_pixels,
            sentences=_load_sentences(chosen_device) if _shows(checkpoint, reader) else None,
        )

    @property
    def info(self) -> ModelInfo:
        """Names and versions of the parts: the same parts give the same scores.

        Where regions are given, a picture's assessment says which in place of the segmenter.
        """
        suffix = "" if self.extractor.encoder.precision == "fp32" else "+bf16"
        return ModelInfo(
            segmenter=self.extractor.segmenter.name if self.regions is None else GIVEN,
            reader=self.reader.name,
            scorer=self.checkpoint.name + suffix,
            version=__version__,
        )

    def assess(
        self,
        picture: ImageSource,
        *,
        name: str | None = None,
        partition: Partition | None = None,
    ) -> Assessment:
        """Assess one picture.

        Args:
            picture: path, bytes, file object, PIL image, array (uint8, uint16 or float, `[H, W]`
                or `[H, W, C]`) or tensor (`[C, H, W]` or `[1, C, H, W]` in 0..1).
            name: what the result calls it; by default its path. Given regions are looked up by it.
            partition: regions to use instead of segmenting, of the picture's size.

        Raises:
            ImageError: the picture cannot be read or is outside the accepted sizes or values.
            DataError: the partition does not fit the picture, or no regions are given for it.
        """
        loaded = load_image(picture, name=name, max_pixels=self.max_pixels)
        model = self.info
        if partition is not None:
            model = replace(model, segmenter=GIVEN)
        elif self.regions is not None:
            # Named before they are read: should they change between, they are read anew next time.
            model = replace(model, segmenter=self.regions.identity(loaded.name))
            partition = self.regions.partition_for(
                loaded.name, loaded.height, loaded.width, pixels=loaded.pixels
            )
        seen = observe(loaded.pixels, self.extractor, self.reader, self.sentences, partition)
        return self._assemble(loaded, seen, model)

    def assess_batch(
        self,
        pictures: Iterable[ImageSource] | torch.Tensor | npt.NDArray[Any],
        *,
        names: Sequence[str] | None = None,
        on_error: Literal["raise", "return"] = "raise",
    ) -> list[Assessment | RsfiqaError]:
        """Assess many pictures, of any sizes, side by side on the processor's cores.

        Every result is what `assess` gives for that picture alone.

        Args:
            pictures: anything `assess` takes, or one `[N, C, H, W]` tensor.
            names: one a picture.
            on_error: `raise` the first error, or `return` errors in the place of results.

        Returns:
            assessments in the order of the pictures.

        Raises:
            ConfigError: there are not as many names as pictures, or `on_error` is neither.
            ImageError: as `assess` does, unless errors are returned.
        """
        if on_error not in ("raise", "return"):
            raise ConfigError(f"on_error is raise or return; got {on_error!r}.")
        sources = split_batch(pictures)
        given = list(names) if names is not None else [None] * len(sources)
        if len(given) != len(sources):
            raise ConfigError(f"got {len(given)} names for {len(sources)} pictures; give one each.")

        def one(source: ImageSource, name: str | None) -> Assessment | RsfiqaError:
            try:
                return self.assess(source, name=name)
            except RsfiqaError as error:
                if on_error == "raise":
                    raise
                return error

        workers = cpu_workers() if self.extractor.device.type == "cpu" else 1
        pairs = zip(sources, given, strict=True)
        return list(parallel_map(lambda pair: one(*pair), pairs, min(len(sources), workers)))

    @torch.inference_mode()
    def score_regions(self, features: PictureFeatures) -> ScorerOutput:
        """Step 3 alone: scores, weights and attention of one picture, as a batch of one."""
        # Not the extractor's, which may be shared with a loss that was moved elsewhere.
        device = next(self.scorer.parameters()).device
        semantics = stack_semantics([features.semantics], len(features.area))
        out: ScorerOutput = self.scorer(
            features.positions[None].to(device),
            features.context[None].to(device),
            features.labels[None].to(device),
            features.area[None].to(device),
            None if semantics is None else semantics.to(device),
        )
        return out

    def _assemble(
        self,
        loaded: LoadedImage,
        seen: Observation,
        model: ModelInfo,
    ) -> Assessment:
        out = self.score_regions(seen.features)
        # To the CPU first: MPS has no doubles.
        scores = out.region_scores[0].cpu().double().numpy()
        weights = out.weights[0].cpu().double().numpy()
        weights = weights / weights.sum()
        score = float((weights * scores).sum())
        known = self.checkpoint.reliability
        reliability = None if known is None else known.of(score, seen.features.context)
        height, width = loaded.pixels.shape[:2]
        return Assessment(
            image=loaded.name,
            width=width,
            height=height,
            score=score,
            regions=tuple(
                RegionAssessment(
                    id=region.id,
                    area=region.area,
                    bbox=region.bbox,
                    score=float(scores[region.id]),
                    weight=float(weights[region.id]),
                    reading=seen.readings[region.id],
                )
                for region in seen.partition.regions
            ),
            partition=seen.partition,
            model=model,
            sha256=loaded.sha256,
            notes=loaded.notes,
            attention=out.attention[0].float().cpu().numpy(),
            attention_labels=seen.features.labels.numpy(),
            preview=fit_within(loaded.pixels, Assessment.PREVIEW_SIDE),
            uncertainty=None if reliability is None else reliability.uncertainty,
            interval=None if reliability is None else reliability.interval,
            novelty=None if reliability is None else reliability.novelty,
        )


def load_scorer(
    model: str | Path | None = None,
    *,
    revision: str | None = None,
    cache_dir: str | Path | None = None,
    token: str | bool | None = None,
    force_download: bool = False,
    local_files_only: bool = False,
) -> Checkpoint:
    """A scorer and what belongs to it, without the encoder.

    Args:
        model: folder of a scorer, or a hub id; None for the one that ships with the package.
        revision: a branch, tag or commit of the hub, as `@revision` behind the id.
        cache_dir: the hub's cache, instead of `HF_HOME`'s.
        token: for repositories that are not open to all; by default that of `hf auth login`.
        force_download: fetch it anew.
        local_files_only: ask only the hub's cache, as offline mode does.

    Raises:
        AssetError: it cannot be had or read.
        ConfigError: the revision is given twice, and not the same.
    """
    from rsfiqa.assets import resolve_model

    if not model:
        return load_checkpoint(default_folder())
    return load_checkpoint(
        resolve_model(
            model,
            offline=local_files_only or None,
            revision=revision,
            cache_dir=cache_dir,
            token=token,
            force_download=force_download,
        )
    )


def _shows(checkpoint: Checkpoint, reader: Reader) -> bool:
    """Whether the scorer is shown what the reader says."""
    return checkpoint.reads and reader.name != "none"


def _load_sentences(device: torch.device) -> TextEncoder:
    from rsfiqa.reading.sentence_encoder import SentenceEncoder

    return SentenceEncoder.from_pretrained(device=device)
