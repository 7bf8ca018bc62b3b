"""TRAIN MODEL and EVALUATE MODEL behind the grammar: sources, features, split, BigDL, held-out rows, the record of a run."""
