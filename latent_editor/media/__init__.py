"""Photos, clips and sound: read safely, color-managed, written."""
