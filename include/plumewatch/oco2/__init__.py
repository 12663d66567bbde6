"""OCO-2: granules to soundings, soundings to peaks, peaks to CO2 emissions."""
