"""How good the CO2 peak finder is: planted peaks in real or simulated noise, beside other methods."""
