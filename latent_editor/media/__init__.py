"""Photos, video and audio: safe decoding, color management, encoding."""
