"""Downloading one large file over an unreliable line: continued, checked, and put in place only when it is whole."""

from latent_editor.checkpoints.downloads.lines import TransferPolicy, check_address
from latent_editor.checkpoints.downloads.parts import file_sha256
from latent_editor.checkpoints.downloads.transfer import download

__all__ = ["TransferPolicy", "check_address", "download", "file_sha256"]
