"""Training pictures that validation or test shows, too: found, told, refused, left out."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from rsfiqa.errors import DataError
from rsfiqa.learning import fingerprint_cache
from rsfiqa.learning.datasets import ScoredImage, ScoredImages
from rsfiqa.learning.fingerprint_cache import kept_fingerprints
from rsfiqa.learning.leaks import fingerprints
from rsfiqa.learning.prepared import Recipe, split
from rsfiqa.learning.training_leaks import (
    LeakPolicy,
    apply_policy,
    compared_rows,
    find_training_leaks,
    write_leaks,
)

RECIPE = Recipe(validation_fraction=0.3)


def picture(path: Path, seed: int, *, brighter: int = 0) -> None:
    """A blurry pattern of its own for each seed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    small = np.random.default_rng(seed).integers(20, 220, (9, 9, 3), dtype=np.uint8) + brighter
    Image.fromarray(small.astype(np.uint8)).resize((96, 96), Image.Resampling.BICUBIC).save(path)


def data_of(
    folder: Path, parts: str, *, groups: str = "", by_reference: bool = False
) -> ScoredImages:
    """Pictures 0, 1, 2, …, each of the part that its letter stands for."""
    names = {"t": "train", "v": "val", "x": "test", "-": ""}
    rows = []
    for i, part in enumerate(parts):
        path = folder / f"{i}.png"
        picture(path, seed=int(folder.name, 36) * 100 + i)
        group = groups[i] if groups else ""
        rows.append(ScoredImage(path, path.name, 1.0 + i, 10.0 + i, names[part], group))
    return ScoredImages(tuple(rows), (0, 100), by_reference=by_reference)


def found_in(sets: dict[str, ScoredImages], recipe: Recipe = RECIPE) -> list[str]:
    prints = fingerprints(compared_rows(sets, recipe))
    return [f"{each.leak.kind}: {each}" for each in find_training_leaks(sets, recipe, prints)]


def test_pictures_of_their_own_do_not_leak(tmp_path: Path) -> None:
    data = data_of(tmp_path / "a", "tttvvxx")
    assert found_in({"": data}) == []
    kept, said = apply_policy({"": data}, [], "fail", RECIPE)
    assert kept[""] is data
    assert said == []


def test_the_same_file_and_a_copy_of_its_looks_are_found_in_every_part(tmp_path: Path) -> None:
    data = data_of(tmp_path / "a", "tttvvvx")
    (tmp_path / "a" / "3.png").write_bytes((tmp_path / "a" / "0.png").read_bytes())
    picture(tmp_path / "a" / "6.png", seed=int("a", 36) * 100 + 1, brighter=3)
    told = found_in({"": data})
    assert told[0] == "same file: 3.png of val and 0.png"
    assert told[1].startswith("near-duplicate: 6.png of test and 1.png (")
    assert len(told) == 2


def test_where_there_is_no_split_the_drawn_one_is_looked_at(tmp_path: Path) -> None:
    data = data_of(tmp_path / "a", "----------")
    train, held = split(data, RECIPE)
    held.rows[0].path.write_bytes(train.rows[0].path.read_bytes())
    told = found_in({"": data})
    assert told == [f"same file: {held.rows[0].image} of val and {train.rows[0].image}"]


def test_several_sets_are_compared_with_each_other_but_not_by_reference(tmp_path: Path) -> None:
    one = data_of(tmp_path / "a", "tttvvv", groups="ppqpqr", by_reference=True)
    two = data_of(tmp_path / "b", "tttvvv", groups="ststuv", by_reference=True)
    other = data_of(tmp_path / "c", "tttvvv", groups="ppqxyz", by_reference=True)
    (tmp_path / "c" / "4.png").write_bytes((tmp_path / "a" / "2.png").read_bytes())
    told = found_in({"one": one, "two": two, "other": other})
    assert told == [
        "same reference: one/3.png of val and one/0.png (p)",
        "same reference: one/4.png of val and one/2.png (q)",
        "same file: other/4.png of val and one/2.png",
        "same reference: two/3.png of val and two/1.png (t)",
    ]


def leaky(tmp_path: Path) -> tuple[dict[str, ScoredImages], list[ScoredImage]]:
    """One copy of its looks, and with picture 4 the same file, too."""
    data = data_of(tmp_path / "a", "tttvvvx")
    picture(tmp_path / "a" / "3.png", seed=int("a", 36) * 100, brighter=3)
    return {"": data}, list(data.rows)


def applied(sets: dict[str, ScoredImages], policy: LeakPolicy) -> tuple[list[str], list[str]]:
    """Names of the training pictures that are left, and what is said."""
    prints = fingerprints(compared_rows(sets, RECIPE))
    found = find_training_leaks(sets, RECIPE, prints)
    kept, said = apply_policy(sets, found, policy, RECIPE, Path("leaks.csv"))
    return [row.image for row in split(kept[""], RECIPE)[0]], said


def test_near_duplicates_are_told_unless_all_leaks_are_refused(tmp_path: Path) -> None:
    sets, _ = leaky(tmp_path)
    for policy in ("exact", "warn"):
        train, said = applied(sets, policy)
        assert train == ["0.png", "1.png", "2.png"]
        (sentence,) = said
        assert "1 × near-duplicate: 3.png of val and 0.png" in sentence
        assert "All are listed in leaks.csv. --leaks drop leaves them out." in sentence
    with pytest.raises(DataError, match=r"1 × near-duplicate.*--leaks drop"):
        applied(sets, "fail")
    assert applied(sets, "ignore") == (["0.png", "1.png", "2.png"], [])


def test_the_same_file_is_refused_by_default_and_left_out_when_asked(tmp_path: Path) -> None:
    sets, rows = leaky(tmp_path)
    rows[4].path.write_bytes(rows[1].path.read_bytes())
    with pytest.raises(DataError, match=r"in validation or test, too: 1 × same file: 4\.png"):
        applied(sets, "exact")
    train, said = applied(sets, "drop")
    assert train == ["2.png"]
    assert "They are left out." in said[0]
    assert applied(sets, "warn")[0] == ["0.png", "1.png", "2.png"]


def test_a_reference_is_left_out_whole(tmp_path: Path) -> None:
    data = data_of(tmp_path / "a", "tttvvv", groups="ppqpqr", by_reference=True)
    kept = data.rows[0]
    found = find_training_leaks({"": data}, RECIPE, fingerprints(data))
    left, _ = apply_policy({"": data}, found, "drop", RECIPE)
    assert split_names(left[""]) == ([], ["3.png", "4.png", "5.png"])
    assert kept.image == "0.png"


def split_names(data: ScoredImages) -> tuple[list[str], list[str]]:
    return (
        [row.image for row in data if row.split == "train"],
        [row.image for row in data if row.split == "val"],
    )


def test_a_drawn_split_stays_as_it_is_when_pictures_are_left_out(tmp_path: Path) -> None:
    data = data_of(tmp_path / "a", "----------")
    train, held = split(data, RECIPE)
    held.rows[0].path.write_bytes(train.rows[0].path.read_bytes())
    found = find_training_leaks({"": data}, RECIPE, fingerprints(data))
    left, _ = apply_policy({"": data}, found, "drop", RECIPE)
    again = split(left[""], RECIPE)
    assert [row.image for row in again[0]] == [row.image for row in train.rows[1:]]
    assert [row.image for row in again[1]] == [row.image for row in held]


def test_a_trial_run_looks_at_its_own_pictures_only(tmp_path: Path) -> None:
    data = data_of(tmp_path / "a", "tttttttvvvvxx")
    rows = compared_rows({"": data}, replace(RECIPE, limit=6))
    assert len(rows) == 6
    assert {row.split for row in rows} == {"train", "val"}


def test_leaks_are_listed_in_a_file(tmp_path: Path) -> None:
    sets, _ = leaky(tmp_path)
    found = find_training_leaks(sets, RECIPE, fingerprints(sets[""]))
    write_leaks(found, tmp_path / "out" / "leaks.csv")
    with (tmp_path / "out" / "leaks.csv").open(newline="") as file:
        (row,) = csv.DictReader(file)
    assert (row["kind"], row["training_picture"], row["picture"], row["part"]) == (
        "near-duplicate",
        "0.png",
        "3.png",
        "val",
    )
    (tmp_path / "file").write_text("")
    with pytest.raises(DataError, match="cannot be written"):
        write_leaks(found, tmp_path / "file" / "leaks.csv")


# Fingerprints that are kept


def test_pictures_are_decoded_once_and_fingerprints_stay_the_same(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = data_of(tmp_path / "a", "tttv")
    (tmp_path / "a" / "3.png").write_bytes((tmp_path / "a" / "0.png").read_bytes())
    Image.new("RGB", (40, 40), (9, 9, 9)).save(tmp_path / "a" / "2.png")  # uniform: no hash
    told: list[int] = []
    first = kept_fingerprints(data, tmp_path / "kept", told.append)
    assert first == fingerprints(data)
    assert sum(told) == 4

    decoded: list[str] = []

    def counting(rows: list[ScoredImage], told: object) -> object:
        decoded.extend(row.image for row in rows)
        return fingerprints(rows)

    monkeypatch.setattr(fingerprint_cache, "fingerprints", counting)
    picture(tmp_path / "a" / "1.png", seed=77)
    again = kept_fingerprints(data, tmp_path / "kept")
    assert decoded == ["1.png"], "what changed, and nothing else"
    assert again == fingerprints(data)


def test_fingerprints_that_cannot_be_kept_are_made_each_time(tmp_path: Path) -> None:
    data = data_of(tmp_path / "a", "tv")
    (tmp_path / "kept").write_text("a file")
    assert kept_fingerprints(data, tmp_path / "kept") == fingerprints(data)
    for document in (tmp_path / "kept2").rglob("*.json"):
        document.write_text("damaged")
    assert kept_fingerprints(data, tmp_path / "kept2") == fingerprints(data)
