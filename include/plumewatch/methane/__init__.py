"""Methane from Sentinel-2: from reflectance to column enhancement, plumes and their emission rates."""
