"""What Spark reports when a table or file cannot be read, as one sentence. The texts are Spark's, ORC's and Hadoop's."""

from __future__ import annotations

import pytest
from pyspark.errors import PythonException, QueryExecutionException

from sqlext.spark.java_errors import Cause, is_refusal, job_failure
from sqlext.spark.read_errors import of_text, read_error

JOB = "SparkException: Job aborted due to stage failure: Task 0 in stage 4.0 failed 1 times, most recent failure: Lost task 0.0 in stage 4.0 (TID 5) (10.0.0.1 executor driver): "
UPDATED = (
    "\nIt is possible the underlying files have been updated. You can explicitly invalidate the cache in Spark by running "
    "'REFRESH TABLE tableName' command in SQL or by recreating the Dataset/DataFrame involved.\n\tat org.apache.spark.sql"
)
FILE = "file:/my data;x/t/part-0 é.parquet"


@pytest.mark.parametrize(
    ("text", "what"),
    [
        (f"org.apache.spark.SparkFileNotFoundException: File {FILE} does not exist{UPDATED}", FILE),
        (f"org.apache.spark.SparkFileNotFoundException: {UPDATED}", "a file"),
        (
            "java.io.FileNotFoundException: File does not exist: hdfs://nn:8020/t/p.orc\n\tat org",
            "hdfs://nn:8020/t/p.orc",
        ),
        ("java.io.FileNotFoundException: /data/t/p.csv (No such file or directory)\n\tat java", "/data/t/p.csv"),
        ("java.io.FileNotFoundException: No such file or directory: s3a://b/t/p.parquet\n\tat", "s3a://b/t/p.parquet"),
        ("AnalysisException: [PATH_NOT_FOUND] Path does not exist: file:/data/t.", "file:/data/t"),
    ],
)
def test_something_is_gone(text: str, what: str) -> None:
    error = of_text(JOB + text)
    assert error is not None
    assert error.error_class == "SOURCE_CHANGED"
    assert str(error) == f"The table changed while it was read: {what} no longer exists. Run the statement again."


@pytest.mark.parametrize(
    ("text", "file"),
    [
        (f"RuntimeException: {FILE} is not a Parquet file. Expected magic number at tail, but found [0, 0]", FILE),
        (f"RuntimeException: {FILE} is not a Parquet file (length is too low: 4)", FILE),
        (
            "SparkException: Exception thrown in awaitResult: \nIOException: Could not read footer for file: FileStatus{path=file:/t/p; isDirectory=false}",
            "file:/t/p",
        ),
        ("ChecksumException: Checksum error: file:/t/p.csv at 0 exp: 1 got: 2", "file:/t/p.csv"),
        ("FileFormatException: Malformed ORC file file:/t/p.orc. Invalid postscript.", "file:/t/p.orc"),
        (
            "QueryExecutionException: Encountered error while reading file file:/t/p.avro. Details:\n\tat",
            "file:/t/p.avro",
        ),
        (
            "SparkException: Parquet column cannot be converted in file file:/t/p. Column: [v], Expected: double",
            "file:/t/p",
        ),
    ],
)
def test_a_file_is_not_complete(text: str, file: str) -> None:
    error = of_text(JOB + text)
    assert error is not None
    assert error.error_class == "SOURCE_UNREADABLE"
    assert str(error) == (
        f"The source cannot be read: {file} is not a complete file of its format. If the table was being written at the same "
        "time, run the statement again."
    )


@pytest.mark.parametrize(
    ("text", "file"),
    [
        (f"java.io.FileNotFoundException: {FILE} (Permission denied){UPDATED}", FILE),
        (
            'AccessControlException: Permission denied: user=eva, access=READ, inode="/data/t":hdfs:hdfs:drwx------',
            "/data/t",
        ),
        ("java.nio.file.AccessDeniedException: s3a://b/t/p.parquet: getFileStatus on s3a: 403", "s3a://b/t/p.parquet"),
    ],
)
def test_no_permission(text: str, file: str) -> None:
    error = of_text(JOB + text)
    assert error is not None
    assert error.error_class == "SOURCE_UNREADABLE"
    assert str(error) == f"The source cannot be read: no permission to read {file}."


@pytest.mark.parametrize(
    "text",
    [
        "java.lang.ArithmeticException: divide by zero",
        "java.io.EOFException: Python worker exited unexpectedly (crashed)",
        "java.io.FileNotFoundException: /tmp/blockmgr-1f/0c/temp_shuffle_2 (No such file or directory)",
        "java.lang.OutOfMemoryError: Java heap space",
    ],
)
def test_other_errors_stay(text: str) -> None:
    assert of_text(JOB + text) is None


def test_a_file_that_the_driver_cannot_write_is_not_the_source() -> None:
    assert of_text("FileNotFoundException: /data/board/events.out (No such file or directory)") is None


def test_the_text_of_a_udf_is_not_looked_at() -> None:
    udf = PythonException(
        "Traceback (most recent call last):\n  File x\nKeyError: File /t/p does not exist; Permission denied\n"
    )
    assert read_error(udf) is None
    assert (
        read_error(QueryExecutionException(JOB + "FileNotFoundException: File does not exist: file:/t/p\n")) is not None
    )


@pytest.mark.parametrize(
    ("message", "says"),
    [
        (JOB + "java.lang.ArithmeticException: divide by zero\n\tat org.x", "java.lang.ArithmeticException: divide by zero"),
        ("divide by zero\n\tat org.x", "divide by zero"),
        ("\n  An exception was thrown. Please see below.\nTraceback (most recent call last):\n  File\n    x\nKeyError: 'a'\n", "a Python UDF raised KeyError: 'a'"),
        ("Job aborted due to stage failure: Total size of serialized results is bigger than maxResultSize", "Total size of serialized results is bigger than maxResultSize"),
        ("Traceback (most recent call last):\n  File\n    x\nValueError: first line\nsecond line\n", "a Python UDF raised ValueError: first line"),
        ("", "QueryExecutionException"),
    ],
)  # fmt: skip
def test_why_a_job_failed(message: str, says: str) -> None:
    assert job_failure(QueryExecutionException(message)) == says


@pytest.mark.parametrize(
    ("cause", "refused"),
    [
        (Cause("SecurityException", "user has no select on t"), True),
        (
            Cause("AccessControlException", "Permission denied: user [eva] does not have [select] privilege on [db/t]"),
            True,
        ),
        (Cause("RuntimeException", "Permission denied: user=eva"), True),
        (
            Cause(
                "AnalysisException",
                "[TABLE_OR_VIEW_NOT_FOUND] The table or view `permission`.`denied` cannot be found.",
            ),
            False,
        ),
        (Cause("SparkException", "Cannot find catalog plugin class for catalog 'c22': nosuch.Catalog"), False),
    ],
)
def test_permissions_are_not_other_errors(cause: Cause, refused: bool) -> None:
    assert is_refusal([Cause("Py4JJavaError", ""), cause]) is refused
