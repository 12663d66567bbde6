"""Whether a variable's values lie in its own file: HDF5 may have them in other ones, which a stranger's file names."""

from __future__ import annotations

import h5py


def require_own_values(variable: h5py.Dataset, file: h5py.File) -> None:
    """Raise ValueError for a variable that is another file's, or is stored in or made of other files.

    Such are external links, external storage and virtual datasets (HDF5 User Guide): whoever reads them reads whatever
    file of this machine they name.
    """
    if variable.external or variable.is_virtual or variable.file.filename != file.filename:
        raise ValueError(f"{variable.name}: values that lie in another file")


def require_own_variables(file: h5py.File) -> None:
    """Raise ValueError where a variable of the root group is one that `require_own_values` refuses."""
    for name in file:
        link = file.get(name, getlink=True)
        if isinstance(link, h5py.ExternalLink):
            raise ValueError(f"{name}: values that lie in another file")
        if isinstance(found := file.get(name), h5py.Dataset):
            require_own_values(found, file)
