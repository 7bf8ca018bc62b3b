"""cosine_similarity(a, b): the similarity of two feature arrays, computed in the JVM."""

from __future__ import annotations

from sqlext.udfs.base import NativeFunction


class CosineSimilarity(NativeFunction):
    """DOUBLE from -1 to 1; NULL if the lengths differ, or if an array is NULL, all zeros or contains NULL, NaN or infinity."""

    name = "cosine_similarity"
    signature = "cosine_similarity(a, b)"
    usage = "_FUNC_(a, b) - Returns the cosine of the angle between two arrays of numbers."
    arguments = """
    Arguments:
      * a, b - arrays of numbers of the same length
    """
    examples = """
    Examples:
      > SELECT _FUNC_(array(1.0, 0.0), array(1.0, 1.0));
       0.7071067811865475
    """
    native = "org.apache.spark.sql.sqlext.CosineSimilarity"
