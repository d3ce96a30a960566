"""What all users share: models, frame renderer, uploads."""
