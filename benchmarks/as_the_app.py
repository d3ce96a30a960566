"""Imported before torch, it lets a benchmark's threads wait for each other as the app's and the command's do."""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from latent_editor.runtime.openmp import OPENMP_ENV

os.environ.update({**OPENMP_ENV, **os.environ})
