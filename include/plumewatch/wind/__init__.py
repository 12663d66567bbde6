"""Wind: read from files, brought into the storage, interpolated to a point and time."""
