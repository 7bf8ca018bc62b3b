package org.apache.spark.sql.sqlext

import scala.util.control.NoStackTrace
import scala.util.matching.Regex

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.SparkThrowable
import org.apache.spark.sql.AnalysisException
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.catalyst.parser.ParseException
import org.apache.spark.sql.catalyst.trees.Origin
import org.apache.spark.sql.execution.QueryExecutionException

// Errors for SQL users have neither a cause nor a stack trace, because Spark appends both to every message over JDBC. The
// Python traceback is in the driver's log, under the id at the end of the message of an unexpected error.

/** An error of ours. Spark's interfaces need different classes, so this is a trait. */
trait SqlExtError extends Throwable {
  /** What is wrong, in one sentence that begins with the error class. */
  def sentence: String
  def place: Option[Place]
  def getSqlState: String
}

/** A place in a statement: the line from 1, the column from 0. Both count code points, as ANTLR and Python do. */
case class Place(sql: String, line: Int, pos: Int) {
  private def points: Array[Int] =
    sql.split("\n", -1).lift(line - 1).getOrElse("").stripSuffix("\r").replace('\t', ' ').codePoints().toArray

  /** At most 118 characters of the line, and a caret below it. Dashes lead to it, because some clients drop blanks. */
  def shown: String = if (sql.trim.isEmpty) "" else {
    val end = math.min(pos, points.length)
    val part = points.slice(math.max(0, end - 60), math.max(0, end - 60) + 118)
    s"\n${new String(part, 0, part.length)}\n${"-" * math.min(end, 60)}^"
  }

  /** The place of the name if this is the place of a name in quotes. */
  def ofName: Place = if (points.lift(pos).exists("'\"".indexOf(_) >= 0)) copy(pos = pos + 1) else this
}

object Place {
  def of(origin: Origin): Option[Place] =
    for (l <- origin.line; p <- origin.startPosition) yield Place(origin.sqlText.getOrElse(""), l, p)
}

/**
 * An AnalysisException whose error class needs no entry in Spark's error-classes.json; JDBC's getSQLState returns `state`.
 *
 * @param place shown below the message with a caret, as in Spark's ParseException
 * @param argument which argument of a function's call is at fault; the place is then that of the argument
 */
class SqlExtAnalysisException(
    val sentence: String, errorClass: Option[String], state: Option[String], val place: Option[Place] = None,
    argument: Option[Int] = None)
  extends AnalysisException(sentence, line = place.map(_.line), startPosition = place.map(_.pos), errorClass = errorClass)
  with NoStackTrace with SqlExtError {
  override def getSqlState: String = state.orNull

  override def getMessage: String = super.getMessage + (for (Place(text, l, p) <- place if text.nonEmpty) yield {
    val (above, below) = text.split("\n").splitAt(l)
    (above ++ (("-" * p + "^^^") +: below)).mkString("\n\n== SQL ==\n", "\n", "\n")
  }).getOrElse("")

  def at(other: Option[Place]): SqlExtAnalysisException = new SqlExtAnalysisException(sentence, errorClass, state, other)

  /** The same error at the argument at fault, if the error is about an argument and the text of the call is known. */
  def in(arguments: Seq[Expression]): SqlExtAnalysisException =
    argument.flatMap(arguments.lift(_)).flatMap(a => Place.of(a.origin)).map(p => at(Some(p.ofName))).getOrElse(this)

  /** Called by the analyzer with the position of the function in the query, just before the error leaves the analysis. */
  override def withPosition(origin: Origin): AnalysisException =
    ThriftErrors.forClient(if (place.isDefined) this else at(Place.of(origin))) match {
      case analysis: AnalysisException => analysis
      case forClient => throw forClient
    }
}

class SqlExtParseException(sql: String, val sentence: String, errorClass: Option[String], state: Option[String], at: Origin)
  // Spark appends the position without a blank.
  extends ParseException(Some(sql), s"$sentence ", at, at, errorClass) with NoStackTrace with SqlExtError {
  override def getSqlState: String = state.orNull
  override def place: Option[Place] = Place.of(at.copy(sqlText = Some(sql)))
}

/** An error at run time, when nothing is wrong with the statement. PySpark shows this type without a Java stack trace. */
class SqlExtRuntimeException(val sentence: String, errorClass: Option[String] = None, state: Option[String] = None)
  extends QueryExecutionException(sentence) with SparkThrowable with NoStackTrace with SqlExtError {
  override def getErrorClass: String = errorClass.orNull
  override def getSqlState: String = state.orNull
  override def place: Option[Place] = None
}

object Errors {
  /** An error that the shim itself raises, with the template of sqlext/errors.py and the `values` that it names. */
  def analysis(errorClass: String, values: (String, String)*): SqlExtAnalysisException = {
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
    val place = for (l <- line; p <- pos) yield Place(sql, l, p)
    error.get("kind").asText match {
      case "parse" => new SqlExtParseException(sql, message, name, state, Origin(line, pos))
      // Without a line, pos is the number of an argument.
      case "analysis" => new SqlExtAnalysisException(message, name, state, place, if (line.isEmpty) pos else None)
      case _ => new SqlExtRuntimeException(message, name, state)
    }
  }
}
