"""Where everything is kept: files, locks and partitions under a storage root, a folder or an S3 prefix.

Builds on: the floor. Start reading: partitions.py. Callers say `from plumewatch import storage`.
"""

from plumewatch.storage.addresses import stated_path
from plumewatch.storage.files import (
    ASIDE,
    StoredFile,
    absolute,
    delete,
    each_stored_file,
    exists,
    filesystem,
    inner_path,
    is_file,
    is_link,
    is_local,
    join,
    json_bytes,
    list_files,
    local_copy,
    modified_at,
    modified_times,
    parent,
    read_bytes,
    read_json,
    require_folder,
    stored_files,
    upload,
    visible_files,
    write_bytes,
    write_json,
    written_aside,
)
from plumewatch.storage.folders import (
    MANIFEST,
    PARQUET_SUFFIXES,
    WRITING,
    folder_content,
    is_parquet,
    is_partition_value,
    name_other_files,
    name_unread,
)
from plumewatch.storage.listing import (
    Partition,
    Where,
    folder_keys,
    keys_in_path,
    list_partitions,
    partition_path,
    table_root,
)
from plumewatch.storage.locks import LOCK, lock
from plumewatch.storage.parquet import (
    MANIFEST_WITHIN,
    manifest_within,
    parquet_bytes,
    read_metadata,
    read_parquet,
    write_parquet,
)
from plumewatch.storage.partitions import (
    DATA_FILE,
    change_rows,
    iter_partition,
    left_behind,
    manifest_bytes,
    overdue_manifest,
    partition_files,
    partition_ranges,
    publish_partition,
    read_manifest,
    read_table,
    replace_rows,
    settle_manifest,
    write_part,
    write_partition,
)

__all__ = [
    "ASIDE", "DATA_FILE", "LOCK", "MANIFEST", "MANIFEST_WITHIN", "PARQUET_SUFFIXES", "WRITING", "Partition",
    "StoredFile", "Where", "absolute", "change_rows", "delete", "each_stored_file", "exists", "filesystem",
    "folder_content", "folder_keys", "inner_path", "is_file", "is_link", "is_local", "is_parquet",
    "is_partition_value", "iter_partition", "join", "json_bytes", "keys_in_path", "left_behind", "list_files",
    "list_partitions", "local_copy", "lock", "manifest_bytes", "manifest_within", "modified_at", "modified_times",
    "name_other_files", "name_unread", "overdue_manifest", "parent", "parquet_bytes", "partition_files",
    "partition_path", "partition_ranges", "publish_partition", "read_bytes", "read_json", "read_manifest",
    "read_metadata", "read_parquet", "read_table", "replace_rows", "require_folder", "settle_manifest", "stated_path",
    "stored_files", "table_root", "upload", "visible_files", "write_bytes", "write_json", "write_parquet", "write_part",
    "write_partition", "written_aside",
]  # fmt: skip
