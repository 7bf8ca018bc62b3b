package org.apache.spark.sql.sqlext

import scala.util.control.NoStackTrace

import org.apache.hive.service.cli.HiveSQLException
import org.apache.hive.service.rpc.thrift.TStatus
import org.apache.spark.ErrorMessageFormat
import org.apache.spark.sql.internal.SQLConf

/**
 * Our errors as HiveThriftServer2 sends them to its clients: the sentence, the line of the statement and a caret.
 *
 * The server wraps every other exception: it repeats class and sentence, and appends the stack traces. It passes a
 * HiveSQLException on as it is.
 */
object ThriftErrors {
  private val operation = "org.apache.spark.sql.hive.thriftserver.SparkExecuteStatementOperation"

  /** Runs `body`. An error of ours gets the form for the client, if the next one who sees it is the Thrift server. */
  def shown[T](body: => T): T = try body catch { case ours: SqlExtError => throw forClient(ours) }

  /** `error`, or the exception that the Thrift server should get in its place. */
  def forClient(error: SqlExtError): Throwable =
    // The other formats are JSON, which the server writes.
    if (!isSeenByServer || SQLConf.get.errorMessageFormat != ErrorMessageFormat.PRETTY) error
    else try ThriftError.of(error) catch {
      case _: LinkageError => error // this class path has another HiveSQLException, or none
    }

  /** If a statement calls Python and Python calls Spark, Python is the next one, and needs the exception's class. */
  private def isSeenByServer: Boolean = Thread.currentThread.getStackTrace.iterator.map(_.getClassName)
    .find(name => name.startsWith("py4j.") || name.startsWith(operation)).exists(_.startsWith(operation))
}

/** In a separate class, because a session without the Thrift server's jar does not have the class that it extends. */
private class ThriftError(text: String, state: String) extends HiveSQLException(text, state) with NoStackTrace {
  /** What the server sends if the client asks for the status of a statement that runs in the background. */
  override def toString: String = getMessage

  /** What the server sends if the client waits for the statement. The details would repeat the text. */
  override def toTStatus: TStatus = {
    val status = super.toTStatus()
    status.unsetInfoMessages()
    status
  }
}

private object ThriftError {
  // The result type is not ThriftError: the caller would need that class before it runs.
  def of(error: SqlExtError): Throwable = {
    val place = error.place.map(p => s" (line ${p.line}, pos ${p.pos})${p.shown}").getOrElse("")
    new ThriftError(error.sentence.trim + place, error.getSqlState)
  }
}
