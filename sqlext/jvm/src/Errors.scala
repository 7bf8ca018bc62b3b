package org.apache.spark.sql.sqlext

import scala.util.control.NoStackTrace
import scala.util.matching.Regex

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.SparkThrowable
import org.apache.spark.sql.AnalysisException
import org.apache.spark.sql.catalyst.parser.ParseException
import org.apache.spark.sql.catalyst.trees.Origin
import org.apache.spark.sql.execution.QueryExecutionException

// Errors for SQL users have neither a cause nor a stack trace: over JDBC stock Spark appends both to every message. The
// Python traceback is in the driver's log, under the id that the message of an unexpected error ends with.

/**
 * Our error classes need no entry in error-classes.json; SQLSTATE reaches JDBC's getSQLState.
 *
 * @param sql what the position counts in: shown below the message with a caret, as Spark shows it for a ParseException
 */
class SqlExtAnalysisException(
    message: String, errorClass: Option[String], state: Option[String],
    line: Option[Int] = None, pos: Option[Int] = None, sql: Option[String] = None)
  extends AnalysisException(message, line = line, startPosition = pos, errorClass = errorClass) with NoStackTrace {
  override def getSqlState: String = state.orNull

  override def getMessage: String = super.getMessage + (for (l <- line; p <- pos; text <- sql if text.nonEmpty) yield {
    val (above, below) = text.split("\n").splitAt(l)
    (above ++ (("-" * p + "^^^") +: below)).mkString("\n\n== SQL ==\n", "\n", "\n")
  }).getOrElse("")

  /** The analyzer adds where the function stands in the query. */
  override def withPosition(origin: Origin): AnalysisException =
    new SqlExtAnalysisException(message, errorClass, state, origin.line, origin.startPosition, origin.sqlText)
}

class SqlExtParseException(sql: String, message: String, errorClass: Option[String], state: Option[String], at: Origin)
  extends ParseException(Some(sql), message, at, at, errorClass) with NoStackTrace {
  override def getSqlState: String = state.orNull
}

/** What PySpark shows as a clean exception although nothing was wrong with the statement. */
class SqlExtRuntimeException(message: String, errorClass: Option[String] = None, state: Option[String] = None)
  extends QueryExecutionException(message) with SparkThrowable with NoStackTrace {
  override def getErrorClass: String = errorClass.orNull
  override def getSqlState: String = state.orNull
}

object Errors {
  /** An error of the JVM's own, in the words of sqlext/errors.py; `values` are what its template names. */
  def analysis(errorClass: String, values: (String, String)*): AnalysisException = {
    val (state, text) = told(errorClass, values: _*)
    new SqlExtAnalysisException(text, Some(errorClass), Some(state))
  }

  /** The same, about a row: while a query runs (RowErrors). */
  def runtime(errorClass: String, values: (String, String)*): SqlExtRuntimeException = {
    val (state, text) = told(errorClass, values: _*)
    new SqlExtRuntimeException(text, Some(errorClass), Some(state))
  }

  /** SQLSTATE and message. */
  private def told(errorClass: String, values: (String, String)*): (String, String) = {
    val (state, template) = Language.errors(errorClass)
    val text = "\\{(\\w+)}".r.replaceAllIn(template, m => Regex.quoteReplacement(values.toMap.apply(m.group(1))))
    (state, s"[$errorClass] $text")
  }

  /** The exception that an error envelope of sqlext/bridge.py stands for; `sql` is what its position counts in. */
  def of(error: JsonNode, sql: String): Exception = {
    def node(key: String) = Option(error.get(key)).filterNot(_.isNull)
    val (name, state) = (node("class").map(_.asText), node("sqlstate").map(_.asText))
    val (message, line, pos) = (error.get("message").asText, node("line").map(_.asInt), node("pos").map(_.asInt))
    error.get("kind").asText match {
      case "parse" => new SqlExtParseException(sql, message, name, state, Origin(line, pos))
      case "analysis" => new SqlExtAnalysisException(message, name, state, line, pos, Some(sql))
      case _ => new SqlExtRuntimeException(message, name, state)
    }
  }
}
