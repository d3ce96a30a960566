"""What runs long on the page, each with progress and a way to stop it."""
