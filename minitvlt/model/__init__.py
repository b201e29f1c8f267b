"""The system of the paper, a file a section: parameters, patches, masking, transformer, ..."""
