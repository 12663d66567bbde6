"""Look at what is stored, and bring files in and out.

    python -m plumewatch ls maps/ch4              files below the storage root, or at any folder or s3:// prefix
    python -m plumewatch ls scenes --match '*_scl.tif' --urls
    python -m plumewatch get maps --match '*.html' --to here
    python -m plumewatch put dunes.geojson coast.geojson --to areas
    python -m plumewatch describe [TABLE]         what each table holds, or which columns one has
    python -m plumewatch clean --before 2024-01-01 scenes pixels [--yes]   and what writers left that died
    python -m plumewatch preview plumes method=multi_pass area=korpezhe --columns plume_id,emission_kg_h

The storage root is that of PLUMEWATCH_STORAGE_ROOT, unless --root says another.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from datetime import UTC, date, datetime
from pathlib import Path

import pandas as pd

from plumewatch import progress, storage
from plumewatch.at_hand.cleaning import LARGE, find_left, find_old, find_overdue, remove_left, remove_old
from plumewatch.at_hand.described import describe_storage, find_table, preview_rows
from plumewatch.at_hand.listing import list_stored, place, web_address
from plumewatch.at_hand.transfer import Transferred, get_files, put_files
from plumewatch.errors import InputError, PlumewatchError, is_trouble, redact
from plumewatch.settings import Settings, export_aws_settings

DONE, FAILED, BAD_ARGUMENTS, SOME_FAILED = 0, 1, 2, 3  # as the Spark jobs'
UNITS = ("B", "kB", "MB", "GB", "TB", "PB")
STEP = 1000.0  # from one to the next


def main(arguments: Sequence[str] | None = None) -> int:
    """Do what the arguments ask for; 0, or 1 where nothing could be done, 3 where some files couldn't be brought."""
    asked = _parser().parse_args(arguments)
    try:
        export_aws_settings()
        root = storage.absolute(storage.stated_path(asked.root)) if asked.root else Settings.load().storage_root
        return int(asked.do(asked, root))
    except BrokenPipeError:  # of `| head`, which has what it wanted
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return DONE
    except Exception as error:
        if not (isinstance(error, OSError | PlumewatchError) or is_trouble(error)):  # a bucket may be out of reach
            raise
        print(redact(str(error)), file=sys.stderr)
        return FAILED


def _ls(asked: argparse.Namespace, root: str) -> int:
    files = list_stored(place(root, asked.where), asked.match)
    for file in files:
        if asked.urls or asked.https:
            print(web_address(file.path) if asked.https else file.path)
        else:
            print(f"{file.modified_at:%Y-%m-%d %H:%M}  {_size(file.n_bytes):>8}  {file.path}")
    print(f"{len(files)} files, {_size(sum(file.n_bytes for file in files))}", file=sys.stderr)
    return DONE


def _get(asked: argparse.Namespace, root: str) -> int:
    return _told(get_files(place(root, asked.where), Path(asked.to).expanduser().absolute(), asked.match))


def _put(asked: argparse.Namespace, root: str) -> int:
    return _told(put_files([storage.absolute(file) for file in asked.files], place(root, asked.to), asked.match, root))


def _told(came: Transferred) -> int:
    for error in sorted(came.errors):
        print(f"not brought: {error}", file=sys.stderr)
    there = f", {len(came.there)} there already" if came.there else ""
    failed = f", {len(came.errors)} not" if came.errors else ""
    print(f"{len(came.brought)} files brought, {_size(came.n_bytes)}{there}{failed}")
    return SOME_FAILED if came.errors else DONE


def _describe(asked: argparse.Namespace, root: str) -> int:
    if asked.table:
        table = find_table(asked.table)
        print(f"{table.name}: folders {'/'.join(f'{name}=' for name in table.partitions)}, files with")
        _show(pd.DataFrame([(f.name, str(f.type)) for f in table.schema], columns=["column", "type"]))
        return DONE
    described = describe_storage(root)
    if not described:
        raise InputError(root, "no folders", "a root that a DAG has filled; the demonstration's: --root .demo/storage")
    _show(
        pd.DataFrame(
            {
                "folder": d.name, "partitions": _number(d.n_partitions), "rows": _number(d.n_rows),
                "from": d.first or "", "to": d.last or "", "files": _number(d.n_files), "size": _size(d.n_bytes),
                "written (UTC)": f"{d.written_at:%Y-%m-%d %H:%M}",
            }
            for d in described
        )
    )  # fmt: skip
    flaws = [flaw for d in described for flaw in d.flaws]
    for flaw in flaws:
        print(f"not read: {flaw}", file=sys.stderr)
    return SOME_FAILED if flaws else DONE


def _clean(asked: argparse.Namespace, root: str) -> int:
    today = datetime.now(UTC).date()
    old = find_old(root, asked.folders, asked.before, today) if asked.before else []
    left = find_left(root)
    for name in dict.fromkeys(folder.table for folder in old):
        of_name = [folder for folder in old if folder.table == name]
        size = sum(file.n_bytes for folder in of_name for file in folder.files)
        first, last = (folder.path.rsplit("=", 1)[-1] for folder in (of_name[0], of_name[-1]))
        print(f"{name}: {len(of_name)} days or months, {_size(size)}, {min(first, last)} to {max(first, last)}")
    print(f"left by writers that died: {len(left)} files")
    if overdue := find_overdue(root):
        print(f"manifests that writers that died didn't come to write: {len(overdue)}; their data files tell them")
    if not asked.yes:
        print("Nothing was removed; --yes removes it" + (" and writes the manifests." if overdue else "."))
        return DONE
    for path in overdue:
        storage.settle_manifest(path)
    remove_left(left)  # first: a writer may publish one of them meanwhile
    remove_old(root, old)
    print("Removed.")
    return DONE


def _preview(asked: argparse.Namespace, root: str) -> int:
    table = find_table(asked.table)
    columns = asked.columns.split(",") if asked.columns else None
    rows = preview_rows(table, storage.join(root, table.name), dict(asked.partition), asked.rows, columns).to_pandas()
    if asked.csv:
        rows.to_csv(sys.stdout, index=False)
    else:
        _show(rows)
    return DONE


def _show(rows: pd.DataFrame) -> None:
    with pd.option_context("display.width", None, "display.max_columns", None, "display.max_colwidth", 60):
        print(rows.to_string(index=False))


def _number(n: int | None) -> str:
    return "" if n is None else f"{n:,}"


def _size(n_bytes: float) -> str:
    unit = 0
    while n_bytes >= STEP and unit < len(UNITS) - 1:
        n_bytes, unit = n_bytes / STEP, unit + 1
    return f"{n_bytes:.3g} {UNITS[unit]}" if unit else f"{n_bytes:.0f} B"


def _partition(text: str) -> tuple[str, str]:
    name, separator, value = text.partition("=")
    if not separator:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: column=value, such as method=multi_pass")
    return name, value


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a day, YYYY-MM-DD") from error


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r}; allowed: a number of at least 1")
    return int(text)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m plumewatch", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--root", help="storage root: a folder or s3://bucket/prefix")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    ls = commands.add_parser("ls", help="list files")
    ls.add_argument("where", nargs="?", default="", help="below the storage root, or any folder or s3:// prefix")
    ls.add_argument("--urls", action="store_true", help="addresses alone, one a line")
    ls.add_argument("--https", action="store_true", help="http(s) addresses, which answer where a bucket is public")
    ls.set_defaults(do=_ls)

    get = commands.add_parser("get", help="bring files to this machine; what is there already is left")
    get.add_argument("where", help="below the storage root, or any folder or s3:// prefix")
    get.add_argument("--to", required=True, help="local folder")
    get.set_defaults(do=_get)

    put = commands.add_parser("put", help="bring local files to the storage; what is there already is left")
    put.add_argument("files", nargs="+", help="local files and folders")
    put.add_argument("--to", required=True, help="below the storage root, or any folder or s3:// prefix")
    put.set_defaults(do=_put)

    for command in (ls, get, put):
        command.add_argument(
            "--match", action="append", default=[], metavar="MASK",
            help="files whose name, or path where the mask has a slash, is like it: '*.tif', 'area=dune/*'",
        )  # fmt: skip

    describe = commands.add_parser("describe", help="what each table holds, or which columns one has")
    describe.add_argument("table", nargs="?")
    describe.set_defaults(do=_describe)

    clean = commands.add_parser("clean", help="what may go: days of long ago, and what dead writers left")
    clean.add_argument("folders", nargs="*", metavar="FOLDER", help=f"of {', '.join(LARGE)}; default: all of them")
    clean.add_argument("--before", type=_day, help="days and months that ended before YYYY-MM-DD; without it none")
    clean.add_argument("--yes", action="store_true", help="remove; without it is said what would be")
    clean.set_defaults(do=_clean)

    preview = commands.add_parser("preview", help="the first rows of a table")
    preview.add_argument("table")
    preview.add_argument("partition", nargs="*", type=_partition, help="column=value of its folders")
    preview.add_argument("--rows", type=_count, default=10)
    preview.add_argument("--columns", help="some of them, with commas between")
    preview.add_argument("--csv", action="store_true", help="as CSV")
    preview.set_defaults(do=_preview)
    return parser


if __name__ == "__main__":
    progress.shown()
    sys.exit(main())
