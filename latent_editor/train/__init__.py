"""Training of the embedded model: ``python -m latent_editor.train --help``."""
