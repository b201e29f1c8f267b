"""From the world to arrays and back: sound and its log-mel picture, frames, media files, padded batches."""
