"""Files, folders, patterns and lists of paths, as a user names them."""

from __future__ import annotations

import io
import os
from pathlib import Path

import pytest

from rsfiqa.inputs import BadInput, find_images


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Pictures (empty files: nothing is opened here) and other files, at the current folder."""
    for name in [
        "b.JPG",
        "a.png",
        "notes.txt",
        ".hidden.png",
        "raw.dat",
        "img[1].png",
        "sub/c.webp",
        "sub/deep/d.tiff",
        "sub/.thumbs/e.png",
        "empty/readme.md",
    ]:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def one_error(entries: list[str | BadInput]) -> BadInput:
    assert len(entries) == 1
    entry = entries[0]
    assert isinstance(entry, BadInput)
    return entry


@pytest.mark.usefixtures("tree")
class TestFindImages:
    def test_files_come_as_given_whatever_their_ending(self) -> None:
        assert find_images(["./b.JPG", "notes.txt"]) == ["./b.JPG", "notes.txt"]

    def test_a_folder_is_searched_in_order_without_hidden_and_other_files(self) -> None:
        expected = ["a.png", "b.JPG", "img[1].png", "sub/c.webp", "sub/deep/d.tiff"]

        assert find_images(["."]) == [f"./{name}" for name in expected]

    def test_a_folder_can_be_searched_alone(self) -> None:
        assert find_images(["sub"], recursive=False) == ["sub/c.webp"]

    def test_a_path_object_keeps_its_absolute_form(self, tree: Path) -> None:
        assert find_images([str(tree / "sub")])[0] == str(tree / "sub" / "c.webp")

    def test_patterns(self) -> None:
        assert find_images(["*.png"]) == ["a.png", "img[1].png"]
        assert find_images(["**/*.tiff"]) == ["sub/deep/d.tiff"]
        assert find_images(["[ab].*"]) == ["a.png", "b.JPG"]

    def test_a_pattern_gives_pictures_only_unless_it_spells_out_the_ending(self) -> None:
        assert "notes.txt" not in find_images(["*"])
        assert find_images(["raw*"]) != ["raw.dat"]
        assert find_images(["*.dat"]) == ["raw.dat"]

    def test_folders_that_match_a_pattern_are_searched(self) -> None:
        assert find_images(["s*"]) == ["sub/c.webp", "sub/deep/d.tiff"]

    def test_a_name_with_brackets_that_exists_is_no_pattern(self) -> None:
        assert find_images(["img[1].png"]) == ["img[1].png"]

    def test_what_is_reached_twice_comes_once(self, tree: Path) -> None:
        again = ["a.png", "./a.png", str(tree / "a.png"), "sub/../a.png", "a.p*", "."]

        assert find_images(again)[0] == "a.png"
        assert sum(str(entry).endswith("a.png") for entry in find_images(again)) == 1

    def test_bad_inputs_keep_their_place_and_the_rest_goes_on(self) -> None:
        entries = find_images(["gone.png", "a.png", "empty", "b.JPG", "*.bmp"])

        assert [isinstance(entry, BadInput) for entry in entries] == [True, False] * 2 + [True]
        assert [entry[0] for entry in entries if isinstance(entry, BadInput)] == [
            "gone.png",
            "empty",
            "*.bmp",
        ]

    @pytest.mark.parametrize(
        ("given", "says"),
        [
            ("gone.png", "gone.png does not exist"),
            ("empty", "empty holds no pictures"),
            ("*.bmp", r"\*.bmp matches no picture"),
            ("", "an input is empty"),
            ("https://example.org/a.png", "is an address"),
            ("a\0b", "does not exist|cannot be looked up"),
            ("n" * 5000, "does not exist|cannot be looked up"),
        ],
    )
    def test_errors_are_sentences(self, given: str, says: str) -> None:
        bad = one_error(find_images([given]))

        assert bad.path == given
        assert bad.error.endswith(".")
        with pytest.raises(ValueError, match=says):
            raise ValueError(bad.error)

    def test_a_broken_link_is_left_for_the_reader_to_report(self, tree: Path) -> None:
        (tree / "link.png").symlink_to("gone.png")

        assert find_images(["link.png"]) == ["link.png"]

    def test_links_to_folders_do_not_lead_in_circles(self, tree: Path) -> None:
        (tree / "sub" / "loop").symlink_to(tree)

        assert find_images(["sub"]) == ["sub/c.webp", "sub/deep/d.tiff"]

    @pytest.mark.skipif(os.name != "posix" or os.geteuid() == 0, reason="root may read anything")
    def test_a_folder_that_may_not_be_read_is_named(self, tree: Path) -> None:
        (tree / "sub" / "deep").chmod(0)
        try:
            entries = find_images(["sub"])
        finally:
            (tree / "sub" / "deep").chmod(0o755)

        assert entries[0] == "sub/c.webp"
        assert isinstance(entries[1], BadInput)
        assert "cannot be searched" in entries[1].error


@pytest.mark.usefixtures("tree")
class TestStandardInput:
    def test_one_path_a_line(self) -> None:
        listed = io.BytesIO(b"b.JPG\r\n\nimg[1].png\nsub\ngone.png")
        entries = find_images(["a.png", "-"], stdin=listed)

        assert entries[:-1] == ["a.png", "b.JPG", "img[1].png", "sub/c.webp", "sub/deep/d.tiff"]
        assert isinstance(entries[-1], BadInput)

    def test_lines_are_no_patterns(self) -> None:
        assert "does not exist" in one_error(find_images(["-"], stdin=io.BytesIO(b"*.png\n"))).error

    def test_nothing_there(self) -> None:
        assert "gave no path" in one_error(find_images(["-"], stdin=io.BytesIO(b"\n"))).error

    def test_it_is_read_once(self) -> None:
        assert find_images(["-", "-"], stdin=io.BytesIO(b"a.png\n")) == ["a.png"]

    def test_names_that_are_not_utf8_come_through(self) -> None:
        name = os.fsdecode(b"caf\xe9.png")
        Path(name).touch()

        assert find_images(["-"], stdin=io.BytesIO(b"caf\xe9.png\n")) == [name]
        assert find_images(["caf*"]) == [name]
