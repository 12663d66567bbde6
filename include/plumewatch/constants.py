"""Physical constants, each with its unit in the name and its source beside it."""

from pathlib import Path

STANDARD_GRAVITY_M_S2 = 9.80665  # CODATA 2018, exact by definition
MOLAR_MASS_C_KG_MOL = 0.012011  # IUPAC 2021 atomic weights
MOLAR_MASS_CO2_KG_MOL = 0.0440095  # IUPAC 2021 atomic weights
MOLAR_MASS_CH4_KG_MOL = 0.0160425  # IUPAC 2021 atomic weights
MOLAR_MASS_DRY_AIR_KG_MOL = 0.0289652  # Picard et al. 2008 (CIPM-2007), at 400 ppm CO2
EARTH_RADIUS_KM = 6371.0088  # IUGG mean radius R1, Moritz 2000
KM_PER_DEGREE = 111.195  # of latitude: pi / 180 x EARTH_RADIUS_KM, to the metre
SENTINEL2_HALF_ORBIT_S = 3_000.0  # of a period of 100.6 minutes (ESA, Sentinel-2 mission guide), rounded down
MOST_USUAL_REFLECTANCE = 2.0  # median of many pixels: bright sand, snow and cloud stay below 1.2
SAME_PIXEL_SIZE = 1.1  # ratio up to which pixels are of one size: lengths differ by percents between projections
PA_PER_HPA = 100.0  # by definition
METRES_PER_KM = 1000.0  # by definition
SECONDS_PER_HOUR = 3600.0  # by definition
SECONDS_PER_DAY = 86_400  # by definition, UTC without leap seconds
KT_H_PER_KG_S = SECONDS_PER_HOUR * 1e-6  # 1 kt is 1e6 kg
HOURS_PER_YEAR = 8760.0  # 365 days: inventories give tonnes per calendar year
MEDIAN_OF_ABSOLUTE_NORMAL = 0.6744897501960817  # median of |x| of a standard normal x
MAD_TO_SIGMA = round(1.0 / MEDIAN_OF_ABSOLUTE_NORMAL, 4)  # 1.4826, with which the methane model was fitted
LOWEST_BYTES_S = 1000.0  # of a transfer: `minrate` of dnf.conf(5), which also gives up one that is slower
LISTED = "plumewatch:listed"
"""Of an asset that a bucket's listing shows, and not what the catalogue says of the product (`catalogues/odata.py`)."""

CHECKOUT = Path(__file__).resolve().parents[2]
"""The folder that holds include/; where the library is installed as a wheel, the place of the wheel: set paths then."""
