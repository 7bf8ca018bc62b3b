"""Models in and out: IMPORT MODEL and EXPORT MODEL behind the grammar."""
