package org.apache.spark.sql.sqlext

import scala.util.control.NoStackTrace
import scala.util.matching.Regex

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.SparkThrowable
import org.apache.spark.sql.AnalysisException
import org.apache.spark.sql.catalyst.parser.ParseException
import org.apache.spark.sql.catalyst.trees.Origin
import org.apache.spark.sql.execution.QueryExecutionException

// Errors for SQL users have neither a cause nor a stack trace, because Spark appends both to every message over JDBC. The
// Python traceback is in the driver's log, under the id at the end of the message of an unexpected error.

/**
 * An AnalysisException whose error class needs no entry in Spark's error-classes.json; JDBC's getSQLState returns `state`.
 *
 * @param sql the text that the position refers to: shown below the message with a caret, as in Spark's ParseException
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

  /** Called by the analyzer with the position of the function in the query. */
  override def withPosition(origin: Origin): AnalysisException =
    new SqlExtAnalysisException(message, errorClass, state, origin.line, origin.startPosition, origin.sqlText)
}

class SqlExtParseException(sql: String, message: String, errorClass: Option[String], state: Option[String], at: Origin)
  extends ParseException(Some(sql), message, at, at, errorClass) with NoStackTrace {
  override def getSqlState: String = state.orNull
}

/** An error at run time, when nothing is wrong with the statement. PySpark shows this type without a Java stack trace. */
class SqlExtRuntimeException(message: String, errorClass: Option[String] = None, state: Option[String] = None)
  extends QueryExecutionException(message) with SparkThrowable with NoStackTrace {
  override def getErrorClass: String = errorClass.orNull
  override def getSqlState: String = state.orNull
}

object Errors {
  /** An error that the shim itself raises, with the template of sqlext/errors.py and the `values` that it names. */
  def analysis(errorClass: String, values: (String, String)*): AnalysisException = {
    val (state, text) = stateAndMessage(errorClass, values: _*)
    new SqlExtAnalysisException(text, Some(errorClass), Some(state))
  }

  /** The same for an error about a row, while a query runs (RowErrors). */
  def runtime(errorClass: String, values: (String, String)*): SqlExtRuntimeException = {
    val (state, text) = stateAndMessage(errorClass, values: _*)
    new SqlExtRuntimeException(text, Some(errorClass), Some(state))
  }

  private def stateAndMessage(errorClass: String, values: (String, String)*): (String, String) = {
    val (state, template) = Language.errors(errorClass)
    val text = "\\{(\\w+)}".r.replaceAllIn(template, m => Regex.quoteReplacement(values.toMap.apply(m.group(1))))
    (state, s"[$errorClass] $text")
  }

  /** The exception for an error envelope of sqlext/bridge.py; its position refers to `sql`. */
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
