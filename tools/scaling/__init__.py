"""What a national and a global service need a day, on paper: unit costs times volumes (`python -m tools.scaling`).

`costs.yaml` has the unit costs with the command that measured each, `services.yaml` the volumes with their sources;
`table.py` multiplies, and `docs/scaling.md` shows it.
"""
