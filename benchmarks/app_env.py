"""Import before torch: sets the OpenMP environment that the app and the command line use."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from latent_editor.runtime.openmp import OPENMP_ENV

os.environ.update({**OPENMP_ENV, **os.environ})
