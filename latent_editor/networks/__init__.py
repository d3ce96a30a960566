"""Networks that look at pictures: the encoder, the critic with its perceptual distance, the CLIP."""
