from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

import pytest
from plumewatch.errors import InputError
from plumewatch.oco2.archive.listing import older_of_day, parse_granule, read_listing
from plumewatch.oco2.archive.versions import collection_of

V10 = "oco2_LtCO2_191012_B10206Ar_200730235637s.nc4"
V11 = "oco2_LtCO2_191012_B11100Ar_230603005524s.nc4"
V11_2 = "oco2_LtCO2_191012_B11210Ar_240910224028s.nc4"
V11_2_LATER = "oco2_LtCO2_191012_B11210Ar_250110224028s.nc4"
NEXT_MONTH = "oco2_LtCO2_191101_B11210Ar_240910224028s.nc4"
OCO3 = "oco3_LtCO2_191013_B11072Ar_240915205334s.nc4"
OCO3_V9 = "oco3_LtCO2_191013_B9003r_200915205334s.nc4"
ACOS = "acos_LtCO2_191013_B11000Ar_240915205334s.nc4"
V9 = "oco2_LtCO2_191014_B9003r_190226181438s.nc4"
V9_SUPERSEDED = "oco2_LtCO2_191012_B9003r_200226181438s.nc4"
V8 = "oco2_LtCO2_191014_B8100r_171007005500s.nc4"
V11_3 = "oco2_LtCO2_191012_B11300Ar_231007005500s.nc4"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in (
        V11_2,
        V10,
        V11,
        V11_2_LATER,
        NEXT_MONTH,
        OCO3,
        OCO3_V9,
        ACOS,
        V9,
        V9_SUPERSEDED,
        V8,
        "other.nc4",
        "README.txt",
    ):
        (tmp_path / "deep").mkdir(exist_ok=True)
        (tmp_path / "deep" / name).write_bytes(b"x")
    return tmp_path


def test_name_tells_day_build_and_production() -> None:
    granule = parse_granule(f"s3://bucket/oco2/{V11_2}")
    assert granule.name == V11_2 and granule.path == f"s3://bucket/oco2/{V11_2}"
    assert granule.date == date(2019, 10, 12) and granule.month == "2019-10" and granule.build == "B11210Ar"
    assert granule.produced == datetime(2024, 9, 10, 22, 40, 28, tzinfo=UTC)


def test_newest_version_of_a_day_counts_and_the_others_are_named(folder: Path) -> None:
    listing = read_listing(str(folder))
    assert [g.name for g in listing.granules] == [V11_2_LATER, OCO3, V9, NEXT_MONTH]
    assert {g.name for g in listing.superseded} == {V10, V11, V11_2, V9_SUPERSEDED}


@pytest.mark.parametrize(
    ("build", "version"),
    [
        ("B9003r", "9r"),
        ("B10206Ar", "10r"),
        ("B11014Ar", "11r"),
        ("B11100Ar", "11.1r"),
        ("B11210Ar", "11.2r"),
        ("B11300Ar", "11.3r"),
        ("B11400Ar", "11r"),  # not known yet: read as what 11.x has been so far
    ],
)
def test_each_version_is_an_entry_of_the_table(build: str, version: str) -> None:
    assert collection_of("a file", "oco2", build).version == version


@pytest.mark.parametrize(("build", "version"), [("B10400Br", "10.4r"), ("B11072Ar", "11r")])
def test_versions_of_oco3_are_its_own(build: str, version: str) -> None:
    collection = collection_of("a file", "oco3", build)
    assert collection.name == f"OCO3_L2_Lite_FP {version}" and collection.is_read


def test_a_day_of_two_sensors_has_the_newest_of_each(tmp_path: Path) -> None:
    older, newer = (f"oco3_LtCO2_191012_{build}.nc4" for build in ("B10400Br_220317235330s", "B11072Ar_240915205334s"))
    for name in (V11, V11_2, older, newer):
        (tmp_path / name).write_bytes(b"x")
    listing = read_listing(str(tmp_path))
    assert [(g.sensor, g.name) for g in listing.granules] == [("oco2", V11_2), ("oco3", newer)]
    assert [g.name for g in older_of_day(listing, ("oco3", date(2019, 10, 12)))] == [older]
    assert [g.name for g in older_of_day(listing, ("oco2", date(2019, 10, 12)))] == [V11]


def test_a_newer_version_counts_though_it_was_produced_earlier(tmp_path: Path) -> None:
    for name in (V11_2_LATER, V11_3, V10):
        (tmp_path / name).write_bytes(b"x")
    assert [g.name for g in read_listing(str(tmp_path)).granules] == [V11_3]


def test_the_newest_counts_wherever_it_is(tmp_path: Path) -> None:
    for folder, name in (("a", V11_2_LATER), ("b", V11_2), ("c", V10)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).write_bytes(b"x")
    assert [g.path for g in read_listing(str(tmp_path)).granules] == [str(tmp_path / "a" / V11_2_LATER)]


def test_other_sensors_and_unknown_builds_are_refused_with_the_reason(folder: Path) -> None:
    reasons = {r.name: str(r.error) for r in read_listing(str(folder), "2019-10").refused}
    assert set(reasons) == {ACOS, OCO3_V9, V8, "other.nc4"}
    allowed = "; allowed: files of oco2 of the builds B10, B11, B111, B112, B113, B9 or oco3 of the builds B10, B11"
    assert f"build B9003r of oco3{allowed}" in reasons[OCO3_V9]
    assert f"a file of acos{allowed}" in reasons[ACOS]
    assert f"build B8100r of oco2{allowed}" in reasons[V8]
    assert "not the name of a Lite file" in reasons["other.nc4"]


def test_month_narrows(folder: Path) -> None:
    assert [g.name for g in read_listing(str(folder), "2019-11").granules] == [NEXT_MONTH]
    assert [r.name for r in read_listing(str(folder), "2019-11").refused] == ["other.nc4"]
    assert read_listing(str(folder), "2018-01").granules == ()


def test_a_single_file_is_its_own_listing(folder: Path) -> None:
    assert [g.name for g in read_listing(str(folder / "deep" / V10)).granules] == [V10]


def test_an_empty_folder_has_none_and_an_absent_one_is_an_error(tmp_path: Path) -> None:
    assert read_listing(str(tmp_path)).granules == ()
    with pytest.raises(InputError, match="no such folder or file"):
        read_listing(str(tmp_path / "nothing"))


def test_a_day_that_is_no_day_is_refused() -> None:
    with pytest.raises(InputError, match="no date in its name"):
        parse_granule("oco2_LtCO2_191399_B11210Ar_240910224028s.nc4")


def test_hidden_files_are_still_being_written(tmp_path: Path) -> None:
    for name in (V11, f".{V11_2}", f".{V11_2}.123.nc4"):
        (tmp_path / name).write_bytes(b"x")
    listing = read_listing(str(tmp_path))
    assert [g.name for g in listing.granules] == [V11] and listing.refused == () and listing.superseded == ()


def test_a_file_of_another_kind_is_no_empty_folder(tmp_path: Path) -> None:
    (tmp_path / "README.txt").write_text("x")
    with pytest.raises(InputError, match=r"README.txt: a file that isn't called \*.nc4"):
        read_listing(str(tmp_path / "README.txt"))


OTHER_ENDINGS = [".nc", ".NC4", ".h5", ".hdf5", ".he5", ".nc4.gz", ".nc4.bz2", ".nc4.zip", ".tar.gz", ".zip", ".nc4.xz"]


@pytest.mark.parametrize("ending", OTHER_ENDINGS)
def test_a_granule_of_another_ending_is_refused_by_name(tmp_path: Path, ending: str) -> None:
    (tmp_path / V11).write_bytes(b"x")
    other = V11_2.replace("191012", "191013").replace(".nc4", ending)
    (tmp_path / other).write_bytes(b"x")
    listing = read_listing(str(tmp_path), "2019-10")
    assert [g.name for g in listing.granules] == [V11]
    assert [(r.name, r.month) for r in listing.refused] == [(other, "2019-10")]
    assert "not the name of a Lite file" in str(listing.refused[0].error)
    assert read_listing(str(tmp_path), "2019-11").refused == ()


@pytest.mark.parametrize("ending", [*OTHER_ENDINGS, ".nc4.xml", ".nc4.md5", ".nc4.part"])
def test_what_lies_beside_a_granule_of_its_name_is_no_other(tmp_path: Path, ending: str) -> None:
    for name in (V11, V11.replace(".nc4", ending), "notes.zip", "table.nc"):
        (tmp_path / name).write_bytes(b"x")
    listing = read_listing(str(tmp_path))
    assert [g.name for g in listing.granules] == [V11] and listing.refused == ()


@pytest.mark.parametrize("scheme", ["", "file://"])
def test_linked_folders_are_followed_and_circles_end(tmp_path: Path, scheme: str) -> None:
    inside, outside = tmp_path / "granules", tmp_path / "archive"
    for folder, name in ((inside, V11), (outside / "2019", NEXT_MONTH)):
        folder.mkdir(parents=True)
        (folder / name).write_bytes(b"x")
    for link, target in ((inside / "a", outside), (inside / "again", outside), (inside / "up", tmp_path),
                         (outside / "self", outside), (outside / "back", inside)):  # fmt: skip
        link.symlink_to(target)
    listing = read_listing(f"{scheme}{inside}")
    assert [g.name for g in listing.granules] == [V11, NEXT_MONTH] and listing.superseded == listing.refused == ()
    assert listing.granules[1].path == f"{scheme}{inside}/a/2019/{NEXT_MONTH}"
