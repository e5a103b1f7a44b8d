"""Region-aware semantic attention in a network that knows nothing of it: torchvision's ResNet-18.

The network's global average pooling gives way to `RSAModule`: each region of the picture is described
by the features that attention finds in it, weighed against the others, and scored; the picture's score
is the weighted sum. The same works for any network that has a feature map.

Run it with `python examples/rsa_in_a_torchvision_model.py`. It needs torchvision, no weights and a few
seconds: a randomly initialised network learns to tell which pictures have a noisy quarter, and the
printed weights and scores say which quarter it is.
"""

from __future__ import annotations

import torch
import torchvision
from torch import Tensor, nn
from torchvision.models.feature_extraction import create_feature_extractor

from rsfiqa import RSAModule


class RegionAwareResNet(nn.Module):
    """A quality score for each picture, made up of the scores of its regions."""

    def __init__(self, layer: str = "layer2") -> None:
        super().__init__()
        resnet = torchvision.models.resnet18(weights=None)
        self.features = create_feature_extractor(resnet, {layer: "map"})
        with torch.no_grad():
            channels = self.features(torch.zeros(1, 3, 64, 64))["map"].shape[1]
        self.rsa = RSAModule(channels, dim=32)
        self.score = nn.Linear(2 * channels, 1)

    def forward(self, pictures: Tensor, regions: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Pictures `[B, 3, H, W]` and each pixel's region `[B, H, W]`, integers in 0..K-1.

        Returns:
            scores `[B]`, region scores `[B, K]`, region weights `[B, K]`, attention `[B, h, w]`.
        """
        feature_map = self.features(pictures)["map"]
        labels = at_positions(regions, feature_map.shape[-2:])
        out = self.rsa(feature_map, labels)
        region_scores = self.score(torch.cat([out.mean, out.deviation], -1)).squeeze(-1)
        score = (out.weights * region_scores).sum(1)
        return score, region_scores, out.weights, out.attention


def at_positions(regions: Tensor, size: torch.Size) -> Tensor:
    """The region that takes most of each position of a feature map."""
    shares = nn.functional.one_hot(regions).permute(0, 3, 1, 2).float()
    return nn.functional.adaptive_avg_pool2d(shares, (size[0], size[1])).argmax(1)


def quarters(batch: int, side: int) -> Tensor:
    """Four regions a picture; a segmenter's label map would stand here."""
    half = (torch.arange(side) >= side // 2).long()
    return (2 * half[:, None] + half).expand(batch, side, side)


def smooth_pictures(batch: int, side: int) -> tuple[Tensor, Tensor]:
    """Smooth random pictures, half of them with noise in one quarter; and which, or −1."""
    pictures = nn.functional.interpolate(torch.rand(batch, 3, 4, 4), size=side, mode="bicubic")
    spoiled = torch.where(torch.arange(batch) % 2 == 0, torch.randint(4, (batch,)), -1)
    inside = quarters(batch, side) == spoiled[:, None, None]
    return pictures + 0.3 * torch.randn_like(pictures) * inside[:, None], spoiled


def main(steps: int = 40, side: int = 64) -> tuple[float, float]:
    """Train for a few seconds; returns how often the noisy quarter scores lowest, and the loss."""
    torch.manual_seed(0)
    network = RegionAwareResNet()
    optimiser = torch.optim.AdamW(network.parameters(), lr=1e-3)
    for _ in range(steps):
        pictures, spoiled = smooth_pictures(16, side)
        score, *_ = network(pictures, quarters(16, side))
        loss = nn.functional.binary_cross_entropy_with_logits(score, (spoiled < 0).float())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()

    network.eval()
    pictures, spoiled = smooth_pictures(32, side)
    with torch.no_grad():
        score, region_scores, weights, attention = network(pictures, quarters(32, side))
    noisy = spoiled >= 0
    found = float((region_scores.argmin(1) == spoiled)[noisy].float().mean())
    last = float(loss.detach())
    show(f"loss {last:.3f}")
    show(
        f"score of clean pictures {float(score[~noisy].mean()):.2f}, noisy {float(score[noisy].mean()):.2f}"
    )
    show(
        f"the noisy quarter has the lowest score in {found:.0%} of the noisy pictures (chance: 25%)"
    )
    show(
        f"region scores {rounded(region_scores[0])}, weights {rounded(weights[0])}, noisy: {int(spoiled[0])}"
    )
    show(f"attention {tuple(attention.shape)}, sums to {float(attention[0].sum()):.4f}")
    return found, last


def rounded(values: Tensor) -> list[float]:
    return [round(float(value), 2) for value in values]


def show(line: str) -> None:
    print(line)  # noqa: T201 - an example has nothing else to say it with


if __name__ == "__main__":
    main()
