"""From a column to an answer: which engine runs, the steps of a query, and the work of a Python worker."""
