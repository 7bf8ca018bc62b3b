"""The one package that touches BigDL: training, the BigDL forms of networks and heads, scoring in the executors' JVMs.

Everything else works without BigDL's jar; :func:`sqlext.bigdl.installed.missing` reports in one sentence that it is not there.
"""
