"""A user's working state, its history, and the store that holds it."""
