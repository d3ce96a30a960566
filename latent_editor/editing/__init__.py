"""Edits of a latent: sliders and regions, part transfer, style mixing, point drag."""
