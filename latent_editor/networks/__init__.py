"""Networks that analyze images: encoder, perceptual distance, landmarks, CLIP, identity, colorizer, restorer."""
