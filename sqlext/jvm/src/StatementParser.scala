package org.apache.spark.sql.sqlext

import java.util.Locale

import scala.annotation.tailrec

import org.antlr.v4.runtime.Token
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.{FunctionIdentifier, TableIdentifier}
import org.apache.spark.sql.catalyst.expressions.Expression
import org.apache.spark.sql.catalyst.parser.{ParseException, ParserInterface, SparkLexer}
import org.apache.spark.sql.catalyst.plans.logical.LogicalPlan
import org.apache.spark.sql.execution.ExplainMode
import org.apache.spark.sql.execution.command.ExplainCommand
import org.apache.spark.sql.internal.{SQLConf, VariableSubstitution}
import org.apache.spark.sql.types.{DataType, StructType}

/** Passes our statements to Python, and everything else, unchanged, to the parser that was configured before. */
class StatementParser(session: SparkSession, spark: ParserInterface) extends ParserInterface {

  private lazy val pool = SchedulerPools.next()

  override def parsePlan(text: String): LogicalPlan = {
    SchedulerPools.enter(session, pool)
    ThriftErrors.shown(parse(PastedText.plainSpaces(text)))
  }

  private def parse(sql: String): LogicalPlan = Statement.of(sql) match {
    case None => try spark.parsePlan(sql) catch { case e: ParseException => throw nearMiss(sql).getOrElse(e) }
    // Without more words a head may mean something to Spark: DESCRIBE MODEL describes a table called model.
    case Some(s) if s.isBare => try spark.parsePlan(sql) catch { case _: ParseException => ours(s) }
    // Before Spark's parser, which would read DESCRIBE MODEL m as column m of a table called model.
    case Some(s) => ours(s)
  }

  private def ours(statement: Statement): LogicalPlan = {
    val sql = quotedAsInSpark(substituted(statement.sql))
    val parsed = Hub.call(session, "parse", Map("sql" -> sql, "explain" -> statement.explain), sql)
    val command = StatementCommand(
      parsed.get("statement").asText, parsed.get("schema").asText, parsed.get("payload").toString, sql)
    statement.explain.filterNot(_ => parsed.path("explained").asBoolean(false))
      .map(mode => ExplainCommand(command, ExplainMode.fromString(mode))).getOrElse(command)
  }

  /** Python's error for a text that Spark has rejected but that was meant for us; None: Spark's error stays. */
  private def nearMiss(text: String): Option[ParseException] =
    if (!Statement.mayBeMeant(text) || !Hub.isAvailable(session)) None
    else {
      val sql = substituted(text)
      try { Hub.call(session, "near_miss", Map("sql" -> sql), sql); None } catch {
        case e: SqlExtParseException => Some(e)
        // A fault on our side must not hide Spark's error.
        case _: SqlExtRuntimeException => None
      }
    }

  /** With backticks for double quotes if these quote names in this session. Recorded statements then mean the same in others. */
  private def quotedAsInSpark(sql: String): String =
    if (session.sessionState.conf.doubleQuotedIdentifiers) PastedText.withBackticks(sql) else sql

  // SparkSqlParser substitutes ${variables} inside its own parse method, which our statements do not reach.
  private def substituted(sql: String): String =
    SQLConf.withExistingConf(session.sessionState.conf)(new VariableSubstitution().substitute(sql))

  override def parseQuery(sql: String): LogicalPlan = spark.parseQuery(sql)
  override def parseExpression(sql: String): Expression = spark.parseExpression(sql)
  override def parseTableIdentifier(sql: String): TableIdentifier = spark.parseTableIdentifier(sql)
  override def parseFunctionIdentifier(sql: String): FunctionIdentifier = spark.parseFunctionIdentifier(sql)
  override def parseMultipartIdentifier(sql: String): Seq[String] = spark.parseMultipartIdentifier(sql)
  override def parseTableSchema(sql: String): StructType = spark.parseTableSchema(sql)
  override def parseDataType(sql: String): DataType = spark.parseDataType(sql)
}

/**
 * One of our statements: its text, the mode of EXPLAIN, and whether nothing follows its head. In the text, everything before
 * the statement (EXPLAIN, comments, parentheses) is blanked, not removed, so that positions are those of the user's text.
 */
case class Statement(sql: String, explain: Option[String], isBare: Boolean)

object Statement {
  private val explainModes = Set("EXTENDED", "FORMATTED", "CODEGEN", "COST")

  /** Reads tokens only while they may still become one of our heads, so that ordinary SQL only pays for its first word. */
  def of(text: String): Option[Statement] = {
    val tokens = SparkLexer.tokens(text).buffered
    val explained = word(tokens.head) == "EXPLAIN"
    if (explained) tokens.next()
    val mode = if (explained && explainModes(word(tokens.head))) word(tokens.next()) else "SIMPLE"
    var parentheses = 0
    while (word(tokens.head) == "(") { tokens.next(); parentheses += 1 }
    val start = tokens.head.getStartIndex
    if (!isHead(Nil, tokens)) return None
    val rest = tokens.toList.takeWhile(!SparkLexer.isEnd(_)).reverse.dropWhile(word(_) == ";").reverse
    val (body, closing) = rest.splitAt(rest.length - parentheses)
    val isClosed = closing.length == parentheses && closing.forall(word(_) == ")")
    if (!isClosed) return None // Spark reports the error
    val sql = blank(text, start, closing.map(_.getStartIndex).toSet)
    Some(Statement(sql, if (explained) Some(mode) else None, body.isEmpty))
  }

  /** Whether a text that Spark has rejected may have been meant for us, so that Python should be asked. */
  def mayBeMeant(text: String): Boolean = {
    val tokens = SparkLexer.tokens(text).toSeq
    tokens.headOption.map(word).exists(Language.nearMissFirst) ||
      tokens.exists(t => Language.nearMissInside(word(t)) || SparkLexer.isUnknown(t))
  }

  @tailrec private def isHead(words: List[String], tokens: BufferedIterator[Token]): Boolean =
    if (Language.heads(words)) true
    else if (!Language.beginnings(words)) false
    else isHead(words :+ word(tokens.head), { tokens.next(); tokens })

  private def word(token: Token): String = if (SparkLexer.isEnd(token)) "" else token.getText.toUpperCase(Locale.ROOT)

  /** Blanks everything before `start`, and the closing parentheses. Both count code points, as ANTLR does. */
  private def blank(text: String, start: Int, closing: Set[Int]): String = {
    val blanked = text.codePoints().toArray.zipWithIndex.map { case (c, i) =>
      if (c != '\n' && (i < start || closing(i))) ' '.toInt else c
    }
    new String(blanked, 0, blanked.length)
  }
}
