"""TRAIN MODEL behind the grammar: the request, the plan, the rows, BigDL, and the record of a run."""
