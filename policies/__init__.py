"""Policies shipped with midstream, as data: one YAML file each, its tests beside it. No code lives here."""
