"""read_image(path): the bytes of a file, read in the JVM of the executor."""

from __future__ import annotations

from sqlext.udfs.base import NativeFunction


class ReadImage(NativeFunction):
    """BINARY: the bytes of the file, by Hadoop's file systems on the executors; NULL where it is missing or unreadable."""

    name = "read_image"
    signature = "read_image(path)"
    usage = "_FUNC_(path) - Returns the bytes of a file; NULL where it is missing or unreadable."
    arguments = """
    Arguments:
      * path - STRING: a Hadoop path such as hdfs://.., s3a://.. or file:..; without a scheme it is in fs.defaultFS
    """
    examples = """
    Examples:
      > SELECT classify('shop.flowers', _FUNC_(path)) FROM shop.image_paths;
       daisy
    """
    native = "org.apache.spark.sql.sqlext.ReadImage"
