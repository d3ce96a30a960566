"""Long-running jobs of the page, with progress and cancellation."""
