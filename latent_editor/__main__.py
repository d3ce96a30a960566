"""``python -m latent_editor``: the same as the command ``latent-editor``."""

import sys

from latent_editor.cli import main

if __name__ == "__main__":
    sys.exit(main())
