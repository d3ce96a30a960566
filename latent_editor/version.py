"""The version of the package, of ``CITATION.cff`` and of the newest release in ``CHANGELOG.md``."""

__version__ = "0.2.0"
