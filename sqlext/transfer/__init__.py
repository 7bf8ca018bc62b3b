"""The execution of IMPORT MODEL and EXPORT MODEL."""
