"""TRAIN MODEL after parsing: the request, the plan, the rows, the training by BigDL, and the record of a run."""
