"""How the process runs: micro-batching, the allocator, OpenMP. Imports nothing else of the package."""
