"""What one visitor works on, and the store that keeps it."""
