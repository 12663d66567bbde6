"""Maps: what was found on a date or in a month, as one HTML file that needs no network."""
