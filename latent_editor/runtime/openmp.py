"""OpenMP settings; must be set before importing torch."""

from __future__ import annotations

#: Environment variables that make idle OpenMP threads spin briefly, then sleep. Waking a thread takes as long as many
#: layers of a small network: on idle cores a 256² picture took 11 ms with threads that sleep at once, 7 ms with a brief
#: spin, and 9 ms on a single thread. The default, spinning for milliseconds, takes the cores from other work: on a busy
#: machine a picture took seconds.
OPENMP_ENV = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}
