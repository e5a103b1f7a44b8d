"""`rsfiqa.RSAModule` in other people's networks: padding, precision, compilers, and the example."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor, nn

import rsfiqa
from conftest import uneven
from rsfiqa import RSAModule
from rsfiqa.scoring.rsa import RSAOutput, enrich
from rsfiqa.scoring.segments import membership

CHANNELS = 6
EXAMPLE = Path(__file__).parents[1] / "examples" / "rsa_in_a_torchvision_model.py"


def make_rsa() -> RSAModule:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(4)
        module = uneven(RSAModule(CHANNELS, dim=8, heads=2, description_dim=7)).eval()
    assert isinstance(module, RSAModule)
    return module


def make_inputs(
    batch: int = 2, rows: int = 5, columns: int = 6, regions: int = 4, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return (
        torch.randn(batch, CHANNELS, rows, columns, generator=generator),
        torch.randint(regions, (batch, rows, columns), generator=generator),
        (torch.rand(batch, regions, generator=generator) + 0.1).softmax(1),
    )


def assert_alike(one: RSAOutput, other: RSAOutput, tolerance: float = 1e-5) -> None:
    for name, value in vars(one).items():
        torch.testing.assert_close(value, getattr(other, name), atol=tolerance, rtol=tolerance)


# As part of the package


def test_it_is_exported_and_costs_no_import_of_torch() -> None:
    assert rsfiqa.RSAModule is RSAModule
    assert "RSAModule" in rsfiqa.__all__
    code = "import sys, rsfiqa; 'RSAModule' in dir(rsfiqa) or sys.exit(3); sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


# Areas


@given(st.integers(0, 10_000), st.integers(1, 6))
def test_without_areas_positions_are_counted(seed: int, regions: int) -> None:
    features, labels, _ = make_inputs(regions=regions, seed=seed)
    labels[0, 0, 0] = regions - 1
    rsa = make_rsa()
    counts = torch.stack([torch.bincount(row, minlength=regions) for row in labels.flatten(1)])
    with torch.no_grad():
        assert_alike(rsa(features, labels), rsa(features, labels, counts / labels[0].numel()))


@pytest.mark.parametrize("kind", [torch.uint8, torch.int16, torch.int32])
def test_labels_of_any_integer_kind(kind: torch.dtype) -> None:
    features, labels, area = make_inputs()
    rsa = make_rsa()
    with torch.no_grad():
        assert_alike(rsa(features, labels.to(kind), area), rsa(features, labels, area))


# Padding


@given(
    seed=st.integers(0, 10_000),
    below=st.integers(0, 4),
    right=st.integers(0, 4),
    counted=st.booleans(),
)
def test_padding_changes_nothing(seed: int, below: int, right: int, counted: bool) -> None:
    features, labels, area = make_inputs(seed=seed)
    rsa = make_rsa()
    padding = (0, right, 0, below)
    padded_features = nn.functional.pad(features, padding, value=1e3)
    padded_labels = nn.functional.pad(labels, padding, value=-1)
    known_area = None if counted else area
    with torch.no_grad():
        bare = rsa(features, labels, known_area)
        padded = rsa(padded_features, padded_labels, known_area)
        enriched = enrich(padded_features, padded_labels, padded.shift)
    rows, columns = labels.shape[1:]
    for name, value in vars(padded).items():
        expected = getattr(bare, name)
        if name in {"attention", "local"}:
            assert not value[padded_labels < 0].any()
            value = value[:, :rows, :columns]  # noqa: PLW2901
        if name == "deviation":
            # The root of a difference that two sums leave: of small ones it shows their rounding.
            value, expected = value.square(), expected.square()  # noqa: PLW2901
        torch.testing.assert_close(value, expected, atol=1e-5, rtol=1e-5)
    outside = (padded_labels < 0)[:, None].expand_as(enriched)
    assert torch.equal(enriched[outside], padded_features[outside])


def test_what_lies_in_the_padding_is_not_seen_and_not_taught() -> None:
    features, labels, area = make_inputs()
    labels[:, -1] = -1
    rsa = make_rsa()
    other = features.clone()
    other[:, :, -1] = -50 * torch.randn_like(other[:, :, -1])
    given_features = features.requires_grad_()
    out = rsa(given_features, labels, area)
    for name, value in vars(rsa(other, labels, area)).items():
        assert torch.equal(value, getattr(out, name)), name
    sum(value.square().sum() for value in vars(out).values()).backward()
    assert given_features.grad is not None
    assert not given_features.grad[:, :, -1].any()
    assert given_features.grad[:, :, :-1].any()


def test_a_picture_that_is_all_padding_spoils_no_other() -> None:
    features, labels, area = make_inputs()
    rsa = make_rsa()
    with torch.no_grad():
        alone = rsa(features[:1], labels[:1], area[:1])
        labels[1] = -1
        out = rsa(features, labels, area)
    for name, value in vars(alone).items():
        torch.testing.assert_close(getattr(out, name)[:1], value, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("counted", [False, True])
def test_a_picture_that_is_all_padding_gets_zeros_and_numbers_for_gradients(counted: bool) -> None:
    features, labels, area = make_inputs()
    labels[1] = -1
    rsa = make_rsa()
    out = rsa(features.requires_grad_(), labels, None if counted else area)
    for name in ("weights", "attention", "local"):
        assert not getattr(out, name)[1].any(), name
    assert all(value.isfinite().all() for value in vars(out).values())
    sum(value.square().sum() for value in vars(out).values()).backward()
    assert features.grad is not None
    assert features.grad.isfinite().all()
    assert all(p.grad is None or p.grad.isfinite().all() for p in rsa.parameters())


def test_membership_of_padding_is_zero() -> None:
    members = membership(torch.tensor([[0, -1, 2]]), 3)
    assert members.sum(-1).tolist() == [[1, 0, 1]]


# Gradients


def test_gradients_with_padding_are_those_of_finite_differences() -> None:
    features, labels, area = make_inputs(batch=1, rows=3, columns=3, regions=3)
    labels[0, 2] = torch.tensor([0, -1, -1])
    rsa = make_rsa().double()

    def outputs(features: Tensor) -> tuple[Tensor, ...]:
        return tuple(vars(rsa(features, labels, area.double())).values())

    assert torch.autograd.gradcheck(outputs, (features.double().requires_grad_(),))


# Precision


def test_maps_and_weights_sum_to_one_under_autocast() -> None:
    features, labels, area = make_inputs(rows=40, columns=40)
    rsa = make_rsa()
    with torch.no_grad():
        full = rsa(features, labels, area)
    with torch.autocast("cpu", torch.bfloat16):
        half = rsa(features.bfloat16(), labels, area)
    for value in vars(half).values():
        assert value.dtype == torch.float32
    torch.testing.assert_close(half.attention.sum((1, 2)), torch.ones(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(half.weights.sum(1), torch.ones(2), atol=1e-5, rtol=0)
    inside = torch.stack([half.local[0][labels[0] == k].sum() for k in range(4)])
    torch.testing.assert_close(inside, torch.ones(4), atol=1e-5, rtol=0)
    assert_alike(half, full, 3e-2)
    sum(value.sum() for value in vars(half).values()).backward()
    assert all(p.grad.isfinite().all() for p in rsa.parameters() if p.grad is not None)
    assert rsa.key.weight.grad.any()


@pytest.mark.parametrize("kind", [torch.float16, torch.bfloat16])
def test_features_in_half_precision(kind: torch.dtype) -> None:
    features, labels, area = make_inputs()
    rsa = make_rsa()
    with torch.no_grad():
        out = rsa(features.to(kind), labels, area)
        assert_alike(out, rsa(features.to(kind).float(), labels, area))


# Compilers


class Tuples(nn.Module):
    """RSA with a tuple of tensors as output, as exporters want it."""

    def __init__(self, rsa: RSAModule) -> None:
        super().__init__()
        self.rsa = rsa

    def forward(self, features: Tensor, labels: Tensor, area: Tensor) -> tuple[Tensor, ...]:
        return tuple(vars(self.rsa(features, labels, area)).values())


def test_the_graph_does_not_grow_with_the_regions() -> None:
    rsa = Tuples(make_rsa())
    sizes = {
        regions: len(
            torch.export.export(rsa, make_inputs(rows=12, columns=12, regions=regions)).graph.nodes
        )
        for regions in (2, 7, 64)
    }
    assert len(set(sizes.values())) == 1, sizes


def test_one_exported_graph_serves_all_sizes() -> None:
    rsa = Tuples(make_rsa())
    names = (("b", 64), ("h", 512), ("w", 512), ("k", 256))
    batch, rows, columns, regions = (torch.export.Dim(n, min=1, max=most) for n, most in names)
    exported = torch.export.export(
        rsa,
        make_inputs(),
        dynamic_shapes=(
            {0: batch, 2: rows, 3: columns},
            {0: batch, 1: rows, 2: columns},
            {0: batch, 1: regions},
        ),
    ).module()
    for sizes in ((1, 3, 4, 2), (3, 9, 5, 11), (2, 16, 16, 64)):
        inputs = make_inputs(*sizes)
        for mine, theirs in zip(rsa(*inputs), exported(*inputs), strict=True):
            torch.testing.assert_close(theirs, mine, atol=1e-6, rtol=1e-6)


def test_it_compiles_to_one_graph_forward_and_backward() -> None:
    rsa = make_rsa()
    compiled = torch.compile(rsa, backend="aot_eager", fullgraph=True)
    gradients = []
    for module in (rsa, compiled):
        features, labels, area = make_inputs()
        out = module(features.requires_grad_(), labels, area)
        sum(value.square().sum() for value in vars(out).values()).backward()
        gradients.append(features.grad)
    torch.testing.assert_close(*gradients, atol=1e-5, rtol=1e-4)


@pytest.mark.skipif(
    not any(shutil.which(name) for name in (os.environ.get("CXX", "g++"), "clang++")),
    reason="torch.compile makes C++ of the graph, and there is no C++ compiler here",
)
@pytest.mark.skipif(
    not os.environ.get("RSFIQA_TEST_COMPILED"),
    reason="a compiler takes half a minute for it; set RSFIQA_TEST_COMPILED=1 to have it run",
)
def test_compiled_code_gives_the_same() -> None:
    rsa = make_rsa()
    inputs = make_inputs()
    with torch.no_grad():
        assert_alike(torch.compile(rsa, fullgraph=True)(*inputs), rsa(*inputs))


# Failures


@pytest.mark.parametrize(
    ("change", "word"),
    [
        (
            lambda f, lab, a: (f[:, :3], lab, a),
            r"features must be \[B, 6, h, w\]; got \(2, 3, 5, 6\)",
        ),
        (lambda f, lab, a: (f[0], lab, a), r"features must be"),
        (lambda f, lab, a: (f, lab[:, :2], a), r"labels must be \(2, 5, 6\).*got \(2, 2, 6\)"),
        (lambda f, lab, a: (f, lab.flatten(1), a), r"labels must be \(2, 5, 6\)"),
        (lambda f, lab, a: (f, lab, a[0]), r"area must be \[2, K\]; got \(4,\)"),
        (lambda f, lab, a: (f, lab + 4, a), r"labels must be in 0\.\.3, or -1.*got 4\.\.7"),
        (lambda f, lab, a: (f, lab - 2, a), r"got -2\.\.1"),
        (lambda f, lab, a: (f, lab * 0 - 1, None), r"got -1\.\.-1"),
    ],
)
def test_inputs_that_do_not_fit(change: object, word: str) -> None:
    inputs = change(*make_inputs())  # type: ignore[operator]
    with pytest.raises(ValueError, match=word):
        make_rsa()(*inputs)


# The example


@pytest.fixture(scope="module")
def example() -> ModuleType:
    pytest.importorskip("torchvision")
    spec = importlib.util.spec_from_file_location("rsa_example", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_example_learns_where_the_noise_is(
    example: ModuleType, capsys: pytest.CaptureFixture[str]
) -> None:
    with torch.random.fork_rng(devices=[]):
        found, loss = example.main()
    assert found > 0.6
    assert loss < 0.4
    assert "sums to 1.0000" in capsys.readouterr().out


def test_the_example_scores_are_sums_of_their_regions(example: ModuleType) -> None:
    with torch.random.fork_rng(devices=[]), torch.no_grad():
        torch.manual_seed(1)
        network = example.RegionAwareResNet().eval()
        score, region_scores, weights, attention = network(
            torch.rand(2, 3, 64, 96),
            torch.arange(6)
            .view(1, 2, 3)
            .repeat_interleave(32, 1)
            .repeat_interleave(32, 2)
            .expand(2, -1, -1),
        )
    torch.testing.assert_close((weights * region_scores).sum(1), score)
    torch.testing.assert_close(attention.sum((1, 2)), torch.ones(2))
    assert weights.shape == (2, 6)
