"""Where clips come from: a synthetic world, and folders of media files."""
