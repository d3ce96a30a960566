"""What all visitors share: models, the frame renderer, uploads."""
