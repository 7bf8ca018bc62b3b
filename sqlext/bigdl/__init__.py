"""The only package that calls BigDL: training, networks and heads as BigDL modules, scoring in the executors' JVMs.

Everything else works without BigDL's jar; :func:`sqlext.bigdl.installed.missing` says how to install it.
"""
