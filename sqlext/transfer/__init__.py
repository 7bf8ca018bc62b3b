"""Models between warehouses and other tools: EXPORT MODEL, and IMPORT MODEL of what it wrote."""
