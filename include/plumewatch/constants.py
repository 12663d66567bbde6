"""Physical constants, each with its unit in the name and its source beside it."""

STANDARD_GRAVITY_M_S2 = 9.80665  # CODATA 2018, exact by definition
MOLAR_MASS_CO2_KG_MOL = 0.0440095  # IUPAC 2021 atomic weights
MOLAR_MASS_CH4_KG_MOL = 0.0160425  # IUPAC 2021 atomic weights
MOLAR_MASS_DRY_AIR_KG_MOL = 0.0289652  # Picard et al. 2008 (CIPM-2007), at 400 ppm CO2
EARTH_RADIUS_KM = 6371.0088  # IUGG mean radius R1, Moritz 2000
SECONDS_PER_HOUR = 3600.0  # by definition
HOURS_PER_YEAR = 8760.0  # 365 days: inventories give tonnes per calendar year
MEDIAN_OF_ABSOLUTE_NORMAL = 0.6744897501960817  # median of |x| of a standard normal x
