"""How good the methane detection is: simulated scenes with known plumes, and what is found in them."""
