"""SAM-family models small enough for tests: the real classes, untrained, and a fake that sees colour."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch

SIDE = 64
"""The models' input, in pixels."""

FAMILIES = ("sam", "sam_hq", "sam2", "sam2_video")


def save_tiny(family: str, folder: Path, *, seed: int = 0) -> Path:
    """Save an untrained model of a family with its image processor; some of its masks are stable."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = _sam2(family) if family.startswith("sam2") else _sam(family)
        decisive(model)
    model.save_pretrained(folder)
    processor("stretch" if family.startswith("sam2") else "pad").save_pretrained(folder)
    return folder


def processor(kind: str) -> Any:
    """SAM's image processor, which pads, or that of SAM 2, which stretches to a square."""
    import transformers

    square = {"height": SIDE, "width": SIDE}
    if kind == "stretch":
        # Up to transformers 4 this processor has "Fast" in its name.
        name = "Sam2ImageProcessor" if _major() >= 5 else "Sam2ImageProcessorFast"
        return getattr(transformers, name)(size=square)
    return transformers.SamImageProcessor(size={"longest_edge": SIDE}, pad_size=square)


def _major() -> int:
    import transformers

    return int(transformers.__version__.partition(".")[0])


def decisive(model: Any) -> None:
    """Untrained decoders draw masks near zero everywhere: make them draw with a firm hand."""
    decoder = model.mask_decoder
    with torch.no_grad():
        for mlp in decoder.output_hypernetworks_mlps:
            mlp.proj_out.weight.mul_(1e6)
        decoder.iou_prediction_head.proj_out.weight.mul_(30)
        decoder.iou_prediction_head.proj_out.bias.fill_(0.9)


def _sam(family: str) -> Any:
    import transformers

    prefix = {"sam": "Sam", "sam_hq": "SamHQ"}[family]
    made = {
        part: getattr(transformers, f"{prefix}{part}")
        for part in ("Config", "VisionConfig", "PromptEncoderConfig", "MaskDecoderConfig", "Model")
    }
    vision = made["VisionConfig"](
        hidden_size=16,
        output_channels=32,
        num_hidden_layers=2,
        num_attention_heads=2,
        image_size=SIDE,
        patch_size=8,
        window_size=4,
        global_attn_indexes=[1],
        num_pos_feats=16,
        mlp_dim=32,
        initializer_range=0.1,
    )
    prompt = made["PromptEncoderConfig"](
        hidden_size=32, image_size=SIDE, patch_size=8, mask_input_channels=4
    )
    extra = {"vit_dim": 16} if family == "sam_hq" else {}
    decoder = made["MaskDecoderConfig"](
        hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32, **extra
    )
    config = made["Config"](
        vision_config=vision.to_dict(),
        prompt_encoder_config=prompt.to_dict(),
        mask_decoder_config=decoder.to_dict(),
    )
    return made["Model"](config)


def _sam2(family: str) -> Any:
    import transformers as t

    hiera = t.Sam2HieraDetConfig(
        hidden_size=8,
        image_size=[SIDE, SIDE],
        blocks_per_stage=[1, 1, 2, 1],
        embed_dim_per_stage=[8, 16, 32, 64],
        num_attention_heads_per_stage=[1, 1, 2, 2],
        window_size_per_stage=[4, 4, 4, 2],
        global_attention_blocks=[3],
        window_positional_embedding_background_size=[4, 4],
        initializer_range=0.1,
    )
    vision = t.Sam2VisionConfig(
        backbone_config=hiera.to_dict(),
        backbone_channel_list=[64, 32, 16, 8],
        backbone_feature_sizes=[[16, 16], [8, 8], [4, 4]],
        fpn_hidden_size=32,
    )
    parts = {
        "vision_config": vision.to_dict(),
        "prompt_encoder_config": t.Sam2PromptEncoderConfig(
            hidden_size=32, image_size=SIDE, patch_size=16, mask_input_channels=4
        ).to_dict(),
        "mask_decoder_config": t.Sam2MaskDecoderConfig(
            hidden_size=32, mlp_dim=32, num_attention_heads=2, iou_head_hidden_dim=32
        ).to_dict(),
    }
    if family == "sam2":
        return t.Sam2Model(t.Sam2Config(**parts))
    return t.Sam2VideoModel(
        t.Sam2VideoConfig(
            **parts,
            memory_attention_hidden_size=32,
            memory_attention_num_layers=1,
            memory_attention_feed_forward_hidden_size=32,
            memory_attention_rope_feat_sizes=[4, 4],
            memory_encoder_hidden_size=32,
            memory_encoder_output_channels=8,
            mask_downsampler_embed_dim=32,
            memory_fuser_num_layers=1,
            memory_fuser_embed_dim=32,
            memory_fuser_intermediate_dim=32,
        )
    )


class ColourModel:
    """Answers at a point with all pixels of the input that have the colour found there.

    Attributes:
        asked: the points of each call, `[P, 2]` in input pixels.
        encoded: pictures in each call of the image encoder.
        before: called with the number of points, or of pictures, before each answer; may raise.
        score: the predicted IoU of the good mask at each point.
    """

    def __init__(self) -> None:
        self.asked: list[torch.Tensor] = []
        self.encoded: list[int] = []
        self.before: Callable[[str, int], None] = lambda what, count: None
        self.score = 0.9

    def to(self, device: Any) -> ColourModel:
        return self

    def eval(self) -> ColourModel:
        return self

    def get_image_embeddings(self, pixel_values: torch.Tensor) -> torch.Tensor:
        self.before("pictures", len(pixel_values))
        self.encoded.append(len(pixel_values))
        return pixel_values

    def __call__(
        self,
        image_embeddings: torch.Tensor,
        input_points: torch.Tensor,
        input_labels: torch.Tensor,
        multimask_output: bool,
    ) -> SimpleNamespace:
        points = input_points[0, :, 0]
        self.before("points", len(points))
        self.asked.append(points)
        picture = image_embeddings[0]
        x, y = points.long().clamp(0, SIDE - 1).unbind(1)
        colours = picture[:, y, x].T
        away = (picture[None] - colours[:, :, None, None]).abs().sum(1)
        good = torch.where(away < 0.2, 10.0, -10.0)
        # A poor mask, which the model does not trust, and an unstable one.
        logits = torch.stack([good, torch.full_like(good, 10), good / 20], dim=1)
        scores = torch.tensor([self.score, 0.1, 0.95]).expand(len(points), 3)
        return SimpleNamespace(pred_masks=logits[None], iou_scores=scores[None])
