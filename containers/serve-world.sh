#!/usr/bin/env bash
# The simulated world and its catalogue: what the demonstration's containers find at http://catalogue:7911 and /world.
set -euo pipefail
python -m plumewatch.simulation --output /world --seed "$SEED" --sentinel-hub hassi_messaoud
exec python -m plumewatch.simulation.serve /world --host catalogue --port 7911
