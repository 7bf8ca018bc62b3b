package org.apache.spark.sql.sqlext

import org.apache.spark.sql.{Row, SparkSession}
import org.apache.spark.sql.catalyst.CatalystTypeConverters
import org.apache.spark.sql.catalyst.expressions.{Attribute, AttributeReference}
import org.apache.spark.sql.execution.command.LeafRunnableCommand
import org.apache.spark.sql.types.StructType

/**
 * One of our statements, parsed: `run` calls Python and returns its rows in the typed columns of `ddl`.
 *
 * @param payload JSON that Python's parse returned, and gets back when the statement runs
 */
case class StatementCommand(statement: String, ddl: String, payload: String, sql: String) extends LeafRunnableCommand {
  private val columns = StructType.fromDDL(ddl)

  // A val, since each evaluation would create attributes with other ids, which nothing above this node could refer to.
  override val output: Seq[Attribute] =
    columns.map(c => AttributeReference(c.name, c.dataType, c.nullable, c.metadata)())

  /** Plans, EXPLAIN and the UI show only the statement's name, since options may contain secrets. */
  override protected def stringArgs: Iterator[Any] = Iterator(statement)

  override def run(session: SparkSession): Seq[Row] = {
    val rows = ThriftErrors.shown(
      Hub.call(session, "run", Map("payload" -> Hub.json.readTree(payload), "sql" -> sql), sql))
    val decoded = JsonRows.decode(rows, columns, session.sessionState.conf.sessionLocalTimeZone)
    CatalystTypeConverters.createToScalaConverter(JsonRows.kind(columns))(decoded).asInstanceOf[Seq[Row]]
  }
}
