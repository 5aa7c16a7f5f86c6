"""The digest of the package: words leave it, numbers change it."""

from pathlib import Path

import pytest

from interphase_sim import digest

SOURCE = """def rate(temperature: float) -> float:
    return 2.0 * temperature


class Law:
    exponent = 3

    async def wait(self) -> None:
        pass
"""
TOLD = '''"""A module."""

# a comment


def rate(
    temperature: float,
) -> float:
    """Twice the temperature."""
    return 2.0 * temperature  # always


class Law:
    """A law."""

    exponent = 3
    "Of the law."

    async def wait(self) -> None:
        """Nothing."""
        pass
'''


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (TOLD, True),
        (SOURCE.replace("2.0", "2.5"), False),
        (SOURCE.replace("exponent = 3", "exponent = 4"), False),
        (SOURCE.replace("2.0 * t", "2.0 + t"), False),
    ],
)
def test_words_leave_the_digest_and_numbers_change_it(tmp_path: Path, changed: str, same: bool) -> None:
    for name, text in (("before", SOURCE), ("after", changed)):
        (tmp_path / name / "inner").mkdir(parents=True)
        (tmp_path / name / "inner" / "law.py").write_text(text)
    assert (digest.of_folder(tmp_path / "before") == digest.of_folder(tmp_path / "after")) is same


@pytest.mark.parametrize(
    ("name", "same"),
    [("table.csv", False), ("cell.toml", False), ("more.py", False), ("notes.md", True), ("_shipped/a.toml", True)],
)
def test_data_files_decide_and_others_do_not(tmp_path: Path, name: str, same: bool) -> None:
    for folder in ("before", "after"):
        (tmp_path / folder / "_shipped").mkdir(parents=True)
        (tmp_path / folder / "law.py").write_text(SOURCE)
    (tmp_path / "after" / name).write_text("x = 1\n")
    assert (digest.of_folder(tmp_path / "before") == digest.of_folder(tmp_path / "after")) is same


def test_the_digest_is_computed_once_and_knows_every_module(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Path] = []

    def content(path: Path) -> str:
        seen.append(path)
        return ""

    digest.of_folder.cache_clear()
    monkeypatch.setattr(digest, "content", content)
    assert digest.package() == digest.package()
    digest.of_folder.cache_clear()
    assert {"kernels.py", "isolation.py", "cli.py", "coatings.csv"} <= {path.name for path in seen}
    assert len(seen) == len({*seen})


def test_texts_are_told_apart_by_where_they_end() -> None:
    assert digest.combined(["ab", "c"]) != digest.combined(["a", "bc"])
