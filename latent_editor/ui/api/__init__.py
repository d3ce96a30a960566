"""HTTP routes and the frame socket, one file a topic."""
