"""Edits of a latent: sliders and regions, parts of another face, style mixing, dragged points."""
