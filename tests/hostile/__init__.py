"""Files that no reader should trust, and how they are made."""
