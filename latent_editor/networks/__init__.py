"""Networks that look at pictures: the encoder, the discriminator with its perceptual distance, the CLIP."""
