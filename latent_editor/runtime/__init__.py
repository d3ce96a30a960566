"""Process-level machinery: micro-batching, memory allocator, OpenMP settings."""
