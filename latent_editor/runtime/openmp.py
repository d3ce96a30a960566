"""How threads that compute together wait for each other."""

from __future__ import annotations

#: Settings of OpenMP for the environment, before PyTorch is imported: threads that wait spin for a moment, then sleep.
#: To wake one takes as long as many a layer of a small network: on idle cores a picture of 256² took 11 ms when threads
#: slept at once, 7 ms with a moment's spin, and 9 ms on one thread alone. Threads that spin for milliseconds, as is
#: usual, take the cores from other work: on a busy machine a picture took seconds.
OPENMP_ENV = {"OMP_WAIT_POLICY": "PASSIVE", "GOMP_SPINCOUNT": "10000"}
