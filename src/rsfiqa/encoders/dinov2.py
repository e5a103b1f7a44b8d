"""DINOv2 ViT-S/14 (Oquab et al., 2023) as a timm model, from the ONNX file of its asset wheel."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from timm.models.vision_transformer import VisionTransformer
from torch import Tensor

from rsfiqa.errors import AssetError

DEPTH = 12
CONVERSION_VERSION = "1"


class DinoVisionTransformer(VisionTransformer):  # type: ignore[misc]
    """timm's ViT with the position embedding resized as DINOv2 does it.

    timm resizes with antialiasing, DINOv2 without; at 224 pixels that alone moves the last
    layer's features by up to 4 % of their range.
    """

    def _pos_embed(self, x: Tensor) -> Tensor:
        batch, height, width, channels = x.shape
        prefix, grid = self.pos_embed[:, :1], self.pos_embed[:, 1:]
        side = int(grid.shape[1] ** 0.5)
        if (height, width) != (side, side):
            planes = grid.float().reshape(1, side, side, channels).permute(0, 3, 1, 2)
            planes = F.interpolate(planes, size=(height, width), mode="bicubic")
            grid = planes.flatten(2).transpose(1, 2).to(x.dtype)
        tokens = torch.cat([self.cls_token.expand(batch, -1, -1), x.view(batch, -1, channels)], 1)
        embedded: Tensor = self.pos_drop(tokens + torch.cat([prefix.to(x.dtype), grid], 1))
        return embedded


def build_dinov2_small() -> DinoVisionTransformer:
    """The network without weights; accepts any picture whose sides are multiples of 14."""
    return DinoVisionTransformer(
        img_size=518,
        patch_size=14,
        embed_dim=384,
        depth=DEPTH,
        num_heads=6,
        init_values=1e-5,
        num_classes=0,
        dynamic_img_size=True,
    )


def convert_onnx(source: Path, target: Path) -> None:
    """Rewrite the ONNX export's backbone as a safetensors state dict of `build_dinov2_small`.

    The exporter dropped the names of the matrices and transposed them; the names of the nodes
    that multiply by them still carry the module's path.

    Raises:
        AssetError: the file is not the export that this was written for.
    """
    import onnx
    from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
    from onnx import numpy_helper
    from safetensors.torch import save_file

    try:
        graph = onnx.load(str(source)).graph
    except DecodeError as error:
        raise AssetError(f"{source.name} is not an ONNX file: {error}.") from error
    arrays = {i.name: torch.from_numpy(numpy_helper.to_array(i).copy()) for i in graph.initializer}
    matrices = {
        node.name: arrays[node.input[1]].T
        for node in graph.node
        if node.op_type == "MatMul" and node.input[1] in arrays
    }
    try:
        state = _rename(arrays, matrices, _position_inputs(graph))
        build_dinov2_small().load_state_dict(state)
    except (KeyError, RuntimeError) as error:
        raise AssetError(
            f"{source.name} is not the DINOv2 export that rsfiqa knows how to read: {error}."
        ) from error
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, target)


def _position_inputs(graph: Any) -> tuple[str, str]:
    """Names of the class token's and the patches' position embeddings, by the nodes they feed."""
    inputs = {node.name: list(node.input) for node in graph.node}
    return inputs["/backbone/embeddings/Concat_6"][0], inputs["/backbone/embeddings/Reshape_1"][0]


def _rename(
    arrays: dict[str, Tensor], matrices: dict[str, Tensor], positions: tuple[str, str]
) -> dict[str, Tensor]:
    stem = "backbone.embeddings."
    state = {
        "cls_token": arrays[stem + "cls_token"],
        "pos_embed": torch.cat([arrays[name] for name in positions], dim=1),
        "patch_embed.proj.weight": arrays[stem + "patch_embeddings.projection.weight"],
        "patch_embed.proj.bias": arrays[stem + "patch_embeddings.projection.bias"],
        "norm.weight": arrays["backbone.layernorm.weight"],
        "norm.bias": arrays["backbone.layernorm.bias"],
    }
    for i in range(DEPTH):
        layer, node, block = (
            f"backbone.encoder.layer.{i}.",
            f"/backbone/encoder/layer.{i}/",
            f"blocks.{i}.",
        )
        heads = ("query", "key", "value")
        state |= {
            block + "attn.qkv.weight": torch.cat(
                [matrices[f"{node}attention/attention/{head}/MatMul"] for head in heads]
            ),
            block + "attn.qkv.bias": torch.cat(
                [arrays[f"{layer}attention.attention.{head}.bias"] for head in heads]
            ),
            block + "attn.proj.weight": matrices[f"{node}attention/output/dense/MatMul"],
            block + "attn.proj.bias": arrays[f"{layer}attention.output.dense.bias"],
            block + "ls1.gamma": arrays[f"{layer}layer_scale1.lambda1"],
            block + "ls2.gamma": arrays[f"{layer}layer_scale2.lambda1"],
        }
        for part in ("fc1", "fc2"):
            state[f"{block}mlp.{part}.weight"] = matrices[f"{node}mlp/{part}/MatMul"]
            state[f"{block}mlp.{part}.bias"] = arrays[f"{layer}mlp.{part}.bias"]
        for part in ("norm1", "norm2"):
            state[f"{block}{part}.weight"] = arrays[f"{layer}{part}.weight"]
            state[f"{block}{part}.bias"] = arrays[f"{layer}{part}.bias"]
    return state
