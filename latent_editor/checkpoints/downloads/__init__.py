"""Resumable, verified downloads of large files."""

from latent_editor.checkpoints.downloads.connection import TransferPolicy, check_address
from latent_editor.checkpoints.downloads.partial_file import file_sha256
from latent_editor.checkpoints.downloads.transfer import download

__all__ = ["TransferPolicy", "check_address", "download", "file_sha256"]
