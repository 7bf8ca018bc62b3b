package org.apache.spark.sql.sqlext

import org.apache.spark.sql.{Row, SparkSession}
import org.apache.spark.sql.catalyst.{CatalystTypeConverters, InternalRow}
import org.apache.spark.sql.catalyst.expressions.{Attribute, AttributeReference, JsonToStructs, Literal}
import org.apache.spark.sql.execution.command.LeafRunnableCommand
import org.apache.spark.sql.types.{ArrayType, StructType}

/**
 * A parsed statement of ours: `run` asks Python and returns its rows, in the typed columns of `ddl`.
 *
 * @param payload what Python's parse wants to see again when the statement runs, as JSON
 */
case class StatementCommand(statement: String, ddl: String, payload: String, sql: String) extends LeafRunnableCommand {
  private val columns = StructType.fromDDL(ddl)

  override val output: Seq[Attribute] =
    columns.map(c => AttributeReference(c.name, c.dataType, c.nullable, c.metadata)())

  /** Plans, EXPLAIN and the UI show the statement's name alone: options may hold what others must not read. */
  override protected def stringArgs: Iterator[Any] = Iterator(statement)

  override def run(session: SparkSession): Seq[Row] = {
    val rows = Hub.call(session, "run", Map("payload" -> Hub.json.readTree(payload), "sql" -> sql), sql)
    // from_json evaluated in place: every type that DDL can name, and no Spark job.
    val kind = ArrayType(columns.asNullable)
    val decoded = JsonToStructs(kind, Map("mode" -> "FAILFAST"), Literal(rows.toString),
      Some(session.sessionState.conf.sessionLocalTimeZone)).eval(InternalRow.empty)
    CatalystTypeConverters.createToScalaConverter(kind)(decoded).asInstanceOf[Seq[Row]]
  }
}
