"""Region-aware semantic attention: invariants 3 and 4, its start, its guards and its gradients."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

from rsfiqa.scoring.rsa import RSAModule, RSAOutput, enrich
from rsfiqa.scoring.segments import at_positions, membership, segment_softmax, segment_sum
from rsfiqa.scoring.semantics import TOKENS, Semantics, SemanticTokens

CHANNELS, DIM, DESCRIPTION = 5, 8, 7


@dataclass(frozen=True)
class Scene:
    """One picture as RSA sees it."""

    features: Tensor
    labels: Tensor
    area: Tensor
    semantics: Semantics

    @property
    def regions(self) -> int:
        return self.area.shape[1]

    def inside(self, region: int) -> Tensor:
        return self.labels == region


def make_scene(
    seed: int = 0, rows: int = 4, columns: int = 5, regions: int = 3, scale: float = 1.0
) -> Scene:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(regions, (1, rows, columns), generator=generator)
    # Every region has a position, as far as there are positions enough.
    order = torch.randperm(rows * columns, generator=generator)[:regions]
    labels.view(-1)[order] = torch.arange(len(order))
    return Scene(
        scale * torch.randn(1, CHANNELS, rows, columns, generator=generator),
        labels,
        (torch.rand(1, regions, generator=generator) + 0.05).softmax(1),
        make_semantics(generator, 1, regions),
    )


def make_semantics(generator: torch.Generator, batch: int, regions: int) -> Semantics:
    return Semantics(
        torch.randn(batch, regions, DESCRIPTION, generator=generator),
        torch.randn(batch, regions, 5, 5, generator=generator).softmax(-1),
        torch.rand(batch, regions, generator=generator) < 0.7,
    )


def make_rsa(trained: bool = True, **sizes: int) -> RSAModule:
    """In evaluation mode; with `trained`, no layer is zero, so that attention is uneven."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(11)
        sizes = {"dim": DIM, "heads": 2, "description_dim": DESCRIPTION} | sizes
        rsa = RSAModule(CHANNELS, **sizes).eval()
        if trained:
            with torch.no_grad():
                for parameter in rsa.parameters():
                    if not parameter.any():
                        parameter.normal_()
    return rsa


def call(rsa: RSAModule, scene: Scene, *, read: bool = True) -> RSAOutput:
    with torch.no_grad():
        output: RSAOutput = rsa(
            scene.features, scene.labels, scene.area, scene.semantics if read else None
        )
    return output


scenes = st.builds(
    make_scene,
    seed=st.integers(0, 10_000),
    rows=st.integers(1, 7),
    columns=st.integers(2, 7),
    regions=st.integers(1, 6),
    scale=st.sampled_from([0.01, 1.0, 30.0]),
)

PER_REGION = ("mean", "deviation", "attended", "shift")


# Invariant 3: no leak


def assert_only_region_changed(before: RSAOutput, after: RSAOutput, scene: Scene, j: int) -> None:
    others = [i for i in range(scene.regions) if i != j]
    assert torch.equal(before.local[~scene.inside(j)], after.local[~scene.inside(j)])
    for name in PER_REGION:
        assert torch.equal(getattr(before, name)[:, others], getattr(after, name)[:, others]), name


@given(scenes, st.integers(0, 5), st.integers(0, 10_000), st.sampled_from([0.1, 10.0, 1000.0]))
def test_pixels_of_one_region_never_reach_another(
    scene: Scene, j: int, seed: int, strength: float
) -> None:
    j %= scene.regions
    noise = torch.randn(scene.features.shape, generator=torch.Generator().manual_seed(seed))
    changed = torch.where(
        scene.inside(j)[:, None], scene.features + strength * noise, scene.features
    )
    rsa = make_rsa()
    before, after = call(rsa, scene), call(rsa, replace(scene, features=changed))
    assert_only_region_changed(before, after, scene, j)
    if scene.inside(j).any():
        assert not torch.equal(before.mean[:, j], after.mean[:, j])


@given(scenes, st.integers(0, 5), st.integers(0, 10_000))
def test_the_reading_of_one_region_never_reaches_another(scene: Scene, j: int, seed: int) -> None:
    j %= scene.regions
    other = make_semantics(torch.Generator().manual_seed(seed), 1, scene.regions)
    mine = torch.arange(scene.regions)[None] == j
    changed = Semantics(
        torch.where(mine[..., None], other.description, scene.semantics.description),
        torch.where(mine[..., None, None], other.ratings, scene.semantics.ratings),
        torch.where(mine, ~scene.semantics.known, scene.semantics.known),
    )
    rsa = make_rsa()
    before, after = call(rsa, scene), call(rsa, replace(scene, semantics=changed))
    assert_only_region_changed(before, after, scene, j)
    assert not torch.equal(before.shift[:, j], after.shift[:, j])


def test_the_gate_alone_compares_regions() -> None:
    """Weights do depend on the other regions: they share out 1."""
    scene, rsa = make_scene(), make_rsa()
    features = torch.where(scene.inside(0)[:, None], 3 * scene.features, scene.features)
    before, after = call(rsa, scene), call(rsa, replace(scene, features=features))
    assert (before.weights != after.weights).all()


# Invariant 4: the global map


@given(scenes, st.booleans())
def test_the_global_map_is_local_maps_times_weights_and_sums_to_one(
    scene: Scene, read: bool
) -> None:
    out = call(make_rsa(), scene, read=read)
    assert torch.equal(out.attention, out.local * out.weights[0][scene.labels])
    assert float(out.attention.sum()) == pytest.approx(1, abs=1e-5)
    assert float(out.weights.sum()) == pytest.approx(1, abs=1e-5)
    assert (out.attention >= 0).all()
    for k in range(scene.regions):
        here = scene.inside(k)
        if here.any():
            assert float(out.local[here].sum()) == pytest.approx(1, abs=1e-5)
            weight = float(out.weights[0, k])
            assert float(out.attention[here].sum()) == pytest.approx(weight, abs=1e-5)
        else:
            assert float(out.weights[0, k]) == 0


@given(scenes)
def test_statistics_are_taken_under_the_local_map(scene: Scene) -> None:
    out = call(make_rsa(), scene)
    for k in range(scene.regions):
        here = scene.inside(k)[0]
        if not here.any():
            continue
        attention = out.local[0, here].double()
        values = scene.features[0][:, here].double()
        mean = (values * attention).sum(1)
        variance = ((values - mean[:, None]).square() * attention).sum(1)
        scale = float(values.abs().max()) + 1e-2
        shifted = mean + out.shift[0, k]
        torch.testing.assert_close(out.mean[0, k].double(), shifted, atol=1e-4 * scale, rtol=0)
        # Below a thousandth, deviations are not told apart.
        deviation = variance.clamp_min(1e-6).sqrt()
        torch.testing.assert_close(
            out.deviation[0, k].double(), deviation, atol=2e-3 * scale, rtol=0
        )


# The start


@given(scenes)
def test_at_initialisation_rsa_is_region_average_pooling(scene: Scene) -> None:
    out = call(make_rsa(trained=False), scene)
    counts = torch.bincount(scene.labels.flatten(), minlength=scene.regions)
    torch.testing.assert_close(out.local, (1 / counts)[scene.labels])
    present = counts > 0
    rounding = 1e-6 * float(scene.features.abs().max()) + 1e-6
    areas = scene.area[0] * present
    torch.testing.assert_close(out.weights[0], areas / areas.sum())
    assert not out.shift.any()
    for k in torch.nonzero(present).flatten():
        pooled = scene.features[0][:, scene.inside(int(k))[0]].mean(1)
        torch.testing.assert_close(out.mean[0, k], pooled, atol=rounding, rtol=1e-4)


def test_training_can_leave_the_start() -> None:
    rsa, scene = make_rsa(trained=False), make_scene()
    out = rsa(scene.features, scene.labels, scene.area, scene.semantics)
    (out.attention.square().sum() + out.mean.square().sum() + out.weights.square().sum()).backward()
    for layer in (rsa.query, rsa.gate[-1], rsa.residual):
        assert layer.weight.grad.any()


# Guards


def test_a_region_without_a_position_has_no_weight_and_spoils_nothing() -> None:
    scene, rsa = make_scene(regions=3), make_rsa()
    labels = torch.where(scene.labels == 1, 0, scene.labels)
    out = call(rsa, replace(scene, labels=labels))
    assert float(out.weights[0, 1]) == 0
    assert float(out.weights.sum()) == pytest.approx(1)
    assert float(out.attention.sum()) == pytest.approx(1)
    assert all(getattr(out, name).isfinite().all() for name in vars(out))


def test_gradients_are_finite_with_absent_and_padded_regions() -> None:
    scene, rsa = make_scene(regions=4), make_rsa().train()
    labels = torch.where(scene.labels == 1, 0, scene.labels)
    labels = torch.where(labels == 3, 2, labels)
    area = scene.area.clone()
    area[0, 3] = 0
    features = scene.features.clone().requires_grad_()
    out = rsa(features, labels, area, scene.semantics)
    sum(getattr(out, name).sum() for name in vars(out)).backward()
    assert features.grad.isfinite().all()
    assert all(parameter.grad.isfinite().all() for parameter in rsa.parameters())


@pytest.mark.parametrize("read", [True, False])
def test_pictures_with_different_numbers_of_regions_in_one_batch(read: bool) -> None:
    rsa = make_rsa()
    alone = [make_scene(seed, regions=regions) for seed, regions in enumerate([1, 6, 3])]
    batch = Scene(
        torch.cat([scene.features for scene in alone]),
        torch.cat([scene.labels for scene in alone]),
        torch.cat([padded(scene.area) for scene in alone]),
        Semantics(
            torch.cat([padded(scene.semantics.description) for scene in alone]),
            torch.cat([padded(scene.semantics.ratings) for scene in alone]),
            torch.cat([padded(scene.semantics.known) for scene in alone]),
        ),
    )
    together = call(rsa, batch, read=read)
    for i, scene in enumerate(alone):
        single = call(rsa, scene, read=read)
        close = {"atol": 1e-5, "rtol": 1e-5}
        torch.testing.assert_close(together.attention[i], single.attention[0], **close)
        torch.testing.assert_close(together.local[i], single.local[0], **close)
        for name in ("weights", *PER_REGION):
            given_alone = getattr(single, name)[0]
            torch.testing.assert_close(
                getattr(together, name)[i, : scene.regions], given_alone, **close
            )
        assert not together.weights[i, scene.regions :].any()


def padded(values: Tensor, regions: int = 6) -> Tensor:
    return torch.cat([values, values.new_zeros(1, regions - values.shape[1], *values.shape[2:])], 1)


def test_regions_of_one_position() -> None:
    labels = torch.arange(12).view(1, 3, 4)
    scene = make_scene(rows=3, columns=4, regions=12)
    out = call(make_rsa(), replace(scene, labels=labels))
    torch.testing.assert_close(out.local, torch.ones(1, 3, 4))
    torch.testing.assert_close(out.mean - out.shift, scene.features.flatten(2).transpose(1, 2))
    assert float(out.deviation.detach().max()) <= 2e-3
    torch.testing.assert_close(out.attention.flatten(1), out.weights)


@pytest.mark.parametrize("value", [1e4, -1e4, 0.0])
def test_extreme_features_stay_finite(value: float) -> None:
    scene, rsa = make_scene(rows=6, columns=6), make_rsa()
    features = scene.features.clone()
    features[:, :, :3] *= abs(value)
    features[:, :, 3:] = value
    out = call(rsa, replace(scene, features=features))
    assert all(getattr(out, name).isfinite().all() for name in vars(out))
    assert float(out.attention.sum()) == pytest.approx(1, abs=1e-5)


def test_whatever_an_unread_region_carries_is_not_seen() -> None:
    scene, rsa = make_scene(regions=4), make_rsa()
    known = torch.tensor([[True, False, True, False]])
    clean = replace(scene.semantics, known=known)
    poisoned = Semantics(
        scene.semantics.description.masked_fill(~known[..., None], torch.nan),
        scene.semantics.ratings.masked_fill(~known[..., None, None], torch.inf),
        known,
    )
    expected = call(rsa, replace(scene, semantics=clean))
    seen = call(rsa, replace(scene, semantics=poisoned))
    for name in vars(expected):
        assert torch.equal(getattr(seen, name), getattr(expected, name))


def test_whatever_an_unread_region_carries_does_not_reach_the_gradients() -> None:
    scene, rsa = make_scene(regions=4), make_rsa()
    known = torch.tensor([[True, False, True, False]])
    poisoned = Semantics(
        scene.semantics.description.masked_fill(~known[..., None], torch.nan),
        scene.semantics.ratings.masked_fill(~known[..., None, None], torch.nan),
        known,
    )
    out = rsa(scene.features, scene.labels, scene.area, poisoned)
    (out.mean.sum() + out.attention.square().sum()).backward()
    assert all(p.grad.isfinite().all() for p in rsa.parameters() if p.grad is not None)
    assert rsa.tokens.description.weight.grad.any()


def test_no_reading_at_all_is_the_same_as_no_reader() -> None:
    scene, rsa = make_scene(), make_rsa()
    nothing = replace(scene.semantics, known=torch.zeros(1, scene.regions, dtype=torch.bool))
    without, unread = call(rsa, scene, read=False), call(rsa, replace(scene, semantics=nothing))
    for name in vars(without):
        torch.testing.assert_close(getattr(unread, name), getattr(without, name))
    assert not torch.equal(without.shift, call(rsa, scene).shift)


def test_readings_are_dropped_in_training_only() -> None:
    tokens = SemanticTokens(DIM, DESCRIPTION, drop=0.3)
    regions = 2000
    semantics = make_semantics(torch.Generator().manual_seed(0), 1, regions)
    semantics = replace(semantics, known=torch.ones(1, regions, dtype=torch.bool))
    with torch.no_grad(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(5)
        dropped = (tokens.train()(semantics, 1, regions) == tokens.no_reading).all((2, 3))
        kept = tokens.eval()(semantics, 1, regions)
        again = tokens.eval()(semantics, 1, regions)
    assert 0.25 < float(dropped.float().mean()) < 0.35
    assert torch.equal(kept, again)
    assert not (kept == tokens.no_reading).all((2, 3)).any()
    assert kept.shape == (1, regions, TOKENS, DIM)


@pytest.mark.parametrize("heads", [3, 5, 16])
def test_heads_that_do_not_divide_the_width(heads: int) -> None:
    with pytest.raises(ValueError, match=f"dim=8, heads={heads}"):
        RSAModule(CHANNELS, dim=8, heads=heads)


@pytest.mark.parametrize(("dim", "heads"), [(1, 1), (8, 1), (8, 8), (64, 4)])
def test_any_width_and_number_of_heads(dim: int, heads: int) -> None:
    scene = make_scene()
    out = call(make_rsa(dim=dim, heads=heads), scene)
    assert out.attended.shape == (1, scene.regions, dim)
    assert out.mean.shape == out.deviation.shape == (1, scene.regions, CHANNELS)


# Gradients, and RSA on another network


def test_gradients_are_those_of_finite_differences() -> None:
    rsa = make_rsa(dim=4).double()
    scene = make_scene(3, rows=3, columns=3, regions=3)
    semantics = Semantics(
        scene.semantics.description.double().requires_grad_(),
        scene.semantics.ratings.double().requires_grad_(),
        torch.tensor([[True, False, True]]),
    )
    features = scene.features.double().requires_grad_()

    def outputs(features: Tensor, description: Tensor, ratings: Tensor) -> tuple[Tensor, ...]:
        read = Semantics(description, ratings, semantics.known)
        return tuple(vars(rsa(features, scene.labels, scene.area.double(), read)).values())

    inputs = (features, semantics.description, semantics.ratings)
    assert torch.autograd.gradcheck(outputs, inputs)


def test_rsa_stands_on_any_feature_map() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(3, CHANNELS, 3, stride=4, padding=1), nn.ReLU())
    rsa = make_rsa()
    labels = torch.zeros(2, 4, 6, dtype=torch.long)
    labels[:, :, 3:] = 1
    pictures = torch.rand(2, 3, 16, 24)
    out = rsa(network(pictures), labels, torch.full((2, 2), 0.5))
    (out.mean.sum() + out.deviation.sum() + out.attention[:, 0, 0].sum()).backward()
    assert all(parameter.grad.any() for parameter in network.parameters())
    assert rsa.query.weight.grad.any()


def test_enriching_adds_each_regions_semantics_to_its_positions() -> None:
    scene, rsa = make_scene(), make_rsa()
    out = call(rsa, scene)
    enriched = enrich(scene.features, scene.labels, out.shift)
    difference = enriched - scene.features
    for k in range(scene.regions):
        here = difference[0][:, scene.inside(k)[0]]
        torch.testing.assert_close(here, out.shift[0, k][:, None].expand_as(here))
    untrained = call(make_rsa(trained=False), scene)
    assert torch.equal(enrich(scene.features, scene.labels, untrained.shift), scene.features)


# Sums and softmax over regions


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6), st.sampled_from([1.0, 300.0]))
def test_segment_softmax_is_a_masked_softmax(
    seed: int, positions: int, regions: int, scale: float
) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(regions, (2, positions), generator=generator)
    logits = scale * torch.randn(2, positions, 3, generator=generator)
    members = membership(labels, regions)
    mask = torch.where(members.bool(), 0.0, -torch.inf)[..., None]
    dense = (logits[:, :, None] + mask).softmax(1).nan_to_num(0).sum(2)
    torch.testing.assert_close(segment_softmax(logits, members), dense, atol=1e-6, rtol=1e-4)


@given(st.integers(0, 10_000), st.integers(1, 12), st.integers(1, 6))
def test_sums_and_lookups_by_region(seed: int, positions: int, regions: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    labels = torch.randint(regions, (2, positions), generator=generator)
    values = torch.randn(2, positions, 3, generator=generator)
    members = membership(labels, regions)
    sums = segment_sum(values, members)
    for b in range(2):
        for k in range(regions):
            torch.testing.assert_close(sums[b, k], values[b, labels[b] == k].sum(0))
        torch.testing.assert_close(at_positions(sums, members)[b], sums[b, labels[b]])
