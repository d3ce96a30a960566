"""Recipes: a list of edits saved as a file and replayed on other photos or a whole folder.

A recipe is one JSON file. It names what each edit does, so that people can read it and write one by hand, and it holds
the directions' numbers too, so that the same model replays it exactly, needing neither a CLIP nor the sliders of then::

    {"format": "latent-editor recipe", "version": 1,
     "edits": [{"slider": "long hair", "strength": 1.5}, {"prompt": "red hair", "strength": 1}]}
"""

from latent_editor.recipes.ingredients import Ingredient
from latent_editor.recipes.recipe import Recipe

__all__ = ["Ingredient", "Recipe"]
