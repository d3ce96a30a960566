"""Readers for StyleGAN checkpoint formats. Nothing in a file is executed."""
