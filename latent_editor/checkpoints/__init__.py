"""Every file format of StyleGAN checkpoints, read without running anything in it."""
