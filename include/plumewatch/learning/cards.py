"""Models as they are stored, each with a card: `models/name=N/version=V/card.json`.

A version is a hash of what was learnt from, so that the same data gives the same version; `models/name=N/current.json`
names the one in use. A card says what it was learnt from, how it was judged, and holds the model's numbers.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any

from plumewatch import storage
from plumewatch.errors import reading

MODELS, CARD, CURRENT = "models", "card.json", "current.json"


def write_card(storage_root: str, name: str, card: Mapping[str, Any]) -> str:
    """Write the card of a model, make it the one in use, and return its path."""
    version = hashlib.sha256(json.dumps(card, sort_keys=True).encode()).hexdigest()[:12]
    folder = storage.join(storage_root, MODELS, f"name={name}")
    path = storage.join(folder, f"version={version}", CARD)
    storage.write_json(path, {**card, "version": version})
    storage.write_json(storage.join(folder, CURRENT), {"version": version})
    return path


def read_card(storage_root: str, name: str) -> tuple[str, Any] | None:
    """Return the path and the content of the card in use of a model; None where none is stored.

    Raises InputError where what is stored is no JSON, or names no version.
    """
    folder = storage.join(storage_root, MODELS, f"name={name}")
    current = storage.join(folder, CURRENT)
    if not storage.exists(current):
        return None
    with reading(current, "JSON with a `version`"):
        version = str(storage.read_json(current)["version"])
    path = storage.join(folder, f"version={version}", CARD)
    with reading(path, "a card as source_model_training writes it"):
        return path, storage.read_json(path)
