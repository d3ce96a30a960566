"""Similarity of a face to its photo: metrics, identity, heat map, advice."""

from latent_editor.similarity.advice import advise
from latent_editor.similarity.heat_map import heat_map
from latent_editor.similarity.meter import IdentityChange, Similarity, compare, identity_change

__all__ = ["IdentityChange", "Similarity", "advise", "compare", "heat_map", "identity_change"]
