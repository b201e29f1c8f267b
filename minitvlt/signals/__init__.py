"""From media files to arrays and back: waveforms and log-mel spectrograms, frames, files, padded batches."""
