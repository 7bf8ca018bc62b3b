"""read_image(path): the bytes of a file, read in the JVM of the executor."""

from __future__ import annotations

from sqlext.udfs.base import NativeFunction


class ReadImage(NativeFunction):
    """BINARY: the bytes of a file, which the executors read with Hadoop's file systems; NULL if it is missing or unreadable."""

    name = "read_image"
    signature = "read_image(path)"
    usage = "_FUNC_(path) - Returns the bytes of a file, or NULL if it is missing or unreadable."
    arguments = """
    Arguments:
      * path - STRING: a Hadoop path such as hdfs://.., s3a://.. or file:..; a path without a scheme is in fs.defaultFS
    """
    examples = """
    Examples:
      > SELECT classify('shop.flowers', _FUNC_(path)) FROM shop.image_paths;
       daisy
    """
    native = "org.apache.spark.sql.sqlext.ReadImage"
