"""Small copies of the data sets of the field: their layouts, with pictures of a few pixels."""

from __future__ import annotations

import csv
from collections.abc import Callable, Iterable, Mapping, Sequence
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from scipy.io import savemat

Row = tuple[str, float, str, str]
"""What is expected of a picture: image, human score, group, split."""

LIVE_RUNS = {"jp2k": 227, "jpeg": 233, "wn": 174, "gblur": 174, "fastfading": 174}
LIVE_COPIES = 203
"""Entries of LIVE that are copies of references: 982 entries, 779 pictures with scores."""


def picture_bytes(kind: str = "JPEG") -> bytes:
    data = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 255, (40, 48, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(data, kind)
    return data.getvalue()


def put_pictures(folder: Path, images: Iterable[str]) -> None:
    kinds = {".jpg": "JPEG", ".png": "PNG", ".bmp": "BMP"}
    made = {suffix: picture_bytes(kind) for suffix, kind in kinds.items()}
    for image in images:
        path = folder / image
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(made[path.suffix.lower()])


def put_csv(file: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w", encoding="utf-8", newline="") as stream:
        csv.writer(stream).writerows([header, *rows])


def cells(texts: Sequence[str], column: bool = False) -> Any:
    """A MATLAB cell array of texts, as a row or a column."""
    array = np.empty(len(texts), dtype=object)
    array[:] = texts
    return array[:, None] if column else array[None, :]


def write_live(folder: Path) -> list[Row]:
    names = [f"{run}/img{i}.bmp" for run, count in LIVE_RUNS.items() for i in range(1, count + 1)]
    is_copy = np.zeros(len(names), dtype=np.uint8)
    is_copy[np.random.default_rng(0).permutation(len(names))[:LIVE_COPIES]] = 1
    references = [f"scene{i % 29}.bmp" for i in range(len(names))]
    dmos = np.where(is_copy == 1, 0.0, np.linspace(-2.5, 111.5, len(names)))
    put_pictures(folder, names)
    savemat(folder / "dmos_realigned.mat", {"dmos_new": dmos[None], "orgs": is_copy[None]})
    savemat(folder / "refnames_all.mat", {"refnames_all": cells(references)})
    rows = zip(names, dmos.tolist(), references, is_copy.tolist(), strict=True)
    return [(name, score, reference, "") for name, score, reference, copy in rows if not copy]


CSIQ_KINDS = {
    "noise": "dst_imgs/awgn/{}.AWGN.{}.png",
    "blur": "dst_imgs/blur/{}.BLUR.{}.png",
    "contrast": "dst_imgs/contrast/{}.contrast.{}.png",
    "fnoise": "dst_imgs/fnoise/{}.fnoise.{}.png",
    "jpeg": "dst_imgs/jpeg/{}.JPEG.{}.png",
    "jpeg 2000": "dst_imgs/jpeg2000/{}.jpeg2000.{}.png",
}
CSIQ_HEADER = ("", "", "", "image", "dst_idx", "dst_type", "dst_lev", "dmos_std", "dmos")


def csiq_cells() -> list[tuple[Any, ...]]:
    """The rows of the sheet, remarks above the header and all."""
    rows: list[tuple[Any, ...]] = [("CSIQ", *[None] * 8), (None,) * 9, (None,) * 9, CSIQ_HEADER]
    for reference in (1600, "lake"):
        for index, kind in enumerate(CSIQ_KINDS, start=1):
            rows += [
                (None, None, None, reference, index, kind, level, 0.05, level / 8)
                for level in (1, 2)
            ]
    return rows


def write_csiq(folder: Path) -> list[Row]:
    rows = [
        (CSIQ_KINDS[kind].format(reference, level), level / 8, str(reference), "")
        for reference in (1600, "lake")
        for kind in CSIQ_KINDS
        for level in (1, 2)
    ]
    put_pictures(folder, (row[0] for row in rows))
    first, *rest = csiq_cells()
    put_csv(folder / "csiq.DMOS.csv", [x or "" for x in first], [[*r] for r in rest])
    return rows


def write_tid2013(folder: Path) -> list[Row]:
    # The names in the labels and on disk differ in case, as they do in the archive.
    rows = [
        (f"distorted_images/i{r:02}_01_{level}.bmp", 5.5 - level / 4, f"i{r:02}", "")
        for r in (1, 25)
        for level in (1, 2, 3)
    ]
    put_pictures(folder, (row[0] for row in rows))
    lines = [f"{score:.5f} {Path(image).name.replace('i', 'I', 1)}\n" for image, score, *_ in rows]
    (folder / "mos_with_names.txt").write_text("".join(lines), encoding="ascii")
    return rows


def write_kadid10k(folder: Path) -> list[Row]:
    rows = [
        (f"images/I{r:02}_01_{level:02}.png", 4.57 - level / 2, f"I{r:02}.png", "")
        for r in (1, 2)
        for level in (1, 2)
    ]
    put_pictures(folder, (row[0] for row in rows))
    put_csv(
        folder / "dmos.csv",
        ("dist_img", "ref_img", "dmos", "var"),
        [(Path(image).name, reference, score, 0.5) for image, score, reference, _ in rows],
    )
    return rows


def write_live_wild(folder: Path) -> list[Row]:
    training = [f"t{i}.bmp" for i in range(1, 8)]
    names = ["10.bmp", "1000.JPG", "11.bmp"]
    scores = [50.0] * 7 + [63.9634, 25.3353, 48.9366]
    put_pictures(folder / "Images", names)
    put_pictures(folder / "Images/trainingImages", training)
    (folder / "Data").mkdir()
    all_names = cells([*training, *names], column=True)
    savemat(folder / "Data/AllImages_release.mat", {"AllImages_release": all_names})
    savemat(folder / "Data/AllMOS_release.mat", {"AllMOS_release": np.array([scores])})
    return [(f"Images/{n}", s, "", "") for n, s in zip(names, scores[7:], strict=True)]


def write_koniq10k(folder: Path) -> list[Row]:
    parts = {"training": "train", "validation": "val", "test": "test"}
    put_pictures(folder / "1024x768", [f"{i}.jpg" for i in range(3)])
    header = ("image_name", "c1", "c2", "c3", "c4", "c5", "c_total", "MOS", "SD", "set")
    lines = [
        (f"{i}.jpg", 0, 0, 0.2, 0.7, 0.1, 105, 20.5 + i, 0.5, part) for i, part in enumerate(parts)
    ]
    put_csv(folder / "koniq10k_distributions_sets.csv", header, lines)
    return [(f"1024x768/{i}.jpg", 20.5 + i, "", part) for i, part in enumerate(parts.values())]


def write_spaq(folder: Path) -> list[Row]:
    put_pictures(folder / "TestImage", ["00001.jpg", "00002.jpg"])
    put_csv(
        folder / "Annotations/MOS and Image attribute scores.csv",
        ("Image name", "MOS", "Brightness", "Colorfulness"),
        [("00001.jpg", 10.67, 25, 31.67), ("00002.jpg", 46, 40, 50)],
    )
    return [("TestImage/00001.jpg", 10.67, "", ""), ("TestImage/00002.jpg", 46.0, "", "")]


def write_flive(folder: Path) -> list[Row]:
    names = [f"voc/{i}.jpg" for i in range(4)]
    put_pictures(folder / "database", names)
    put_csv(
        folder / "labels_image.csv", ("name", "mos"), [(n, 70 + i) for i, n in enumerate(names)]
    )
    put_csv(
        folder / "labels=640_padded.csv",
        ("name_image", "is_valid"),
        [(names[0], False), (names[1], False), (names[2], True)],
    )
    put_csv(folder / "labels640.csv", ("name_image",), [(names[3],)])
    parts = ("train", "train", "val", "test")
    return [(f"database/{n}", 70.0 + i, "", parts[i]) for i, n in enumerate(names)]


def write_agiqa3k(folder: Path) -> list[Row]:
    prompts = {"AttnGAN_000.jpg": "a tray, of sushi", "DALLE2_000.jpg": "a tray, of sushi"}
    put_pictures(folder / "AGIQA-3K", prompts)
    header = ("name", "prompt", "adj1", "adj2", "style", "mos_quality", "std_quality", "mos_align")
    put_csv(
        folder / "data.csv", header, [(n, p, "", "", "", 1.5, 0.6, 0.4) for n, p in prompts.items()]
    )
    return [(f"AGIQA-3K/{name}", 1.5, prompt, "") for name, prompt in prompts.items()]


def write_pipal(folder: Path) -> list[Row]:
    rows = []
    (folder / "Train_Label").mkdir(parents=True)
    for part, reference in ((1, "A0001"), (3, "A0121")):
        names = [f"{reference}_00_{i:02}.bmp" for i in range(2)]
        put_pictures(folder / f"Distortion_{part}", names)
        lines = [f"{name},{1400 + i}.25\n" for i, name in enumerate(names)]
        (folder / f"Train_Label/{reference}.txt").write_text("".join(lines), encoding="ascii")
        rows += [
            (f"Distortion_{part}/{n}", 1400.25 + i, reference, "") for i, n in enumerate(names)
        ]
    return rows


def write_biq2021(folder: Path) -> list[Row]:
    parts = {"Train": ["ss01 (10).jpg", "ss03 (3753).jpg"], "Test": ["ss02 (167).jpg"]}
    rows = []
    for part, names in parts.items():
        put_pictures(folder / "Images", names)
        lines = [(name, 0.3522, "", "") for name in names]
        put_csv(folder / f"{part} (Images and MOS).csv", ("Image Name", "MOS", "", ""), lines)
        rows += [(f"Images/{name}", 0.3522, name[:4], part.lower()) for name in names]
    return rows


def write_mmp2k(folder: Path) -> list[Row]:
    put_pictures(folder / "imgs", ["1.jpg", "2.jpg"])
    note = '[{"magnitude": "mild", "factor": "underexposure", "position": "entire image"}]'
    header = ("image_id", "1", "2", "MOS", "distortion annotation", "quality report")
    put_csv(
        folder / "MMP-2k.csv", header, [(i, 75, 50, 50.5 + i, note, "It is\nfair.") for i in (1, 2)]
    )
    return [(f"imgs/{i}.jpg", 50.5 + i, "", "") for i in (1, 2)]


def write_own(folder: Path) -> list[Row]:
    put_pictures(folder, ["a.jpg", "b.png"])
    put_csv(folder / "scores.csv", ("image", "mos"), [("a.jpg", 1.5), ("b.png", 4)])
    return [("a.jpg", 1.5, "", ""), ("b.png", 4.0, "", "")]


COPIES: Mapping[str, Callable[[Path], list[Row]]] = {
    "live": write_live,
    "csiq": write_csiq,
    "tid2013": write_tid2013,
    "kadid10k": write_kadid10k,
    "live-wild": write_live_wild,
    "koniq10k": write_koniq10k,
    "spaq": write_spaq,
    "flive": write_flive,
    "agiqa3k": write_agiqa3k,
    "pipal": write_pipal,
    "biq2021": write_biq2021,
    "mmp2k": write_mmp2k,
    "csv": write_own,
}
"""For each data set, what writes a small copy of it and tells what is to be read from that."""
