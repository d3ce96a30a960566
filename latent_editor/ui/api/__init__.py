"""HTTP routes and the frame WebSocket, one file per topic."""
