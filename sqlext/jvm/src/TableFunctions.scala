package org.apache.spark.sql.sqlext

import scala.collection.JavaConverters._

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.{SparkSession, Strategy}
import org.apache.spark.sql.catalyst.{FunctionIdentifier, InternalRow}
import org.apache.spark.sql.catalyst.analysis.{MultiInstanceRelation, TableFunctionRegistry}
import org.apache.spark.sql.catalyst.expressions.{Attribute, AttributeReference, ExpressionInfo, UnsafeProjection}
import org.apache.spark.sql.catalyst.plans.logical.{LeafNode, LogicalPlan, Statistics}
import org.apache.spark.sql.execution.{LeafExecNode, SparkPlan}
import org.apache.spark.sql.execution.datasources.DataSource
import org.apache.spark.sql.execution.metric.SQLMetrics
import org.apache.spark.sql.types.{StructField, StructType}

/** The table functions of language.json, in the builtin registry, because permanent views reject injected functions. */
object TableFunctions {
  def register(): Unit = synchronized {
    for (f <- Language.tableFunctions) {
      val info = new ExpressionInfo(classOf[PythonTable].getName, null, f.name, f.usage, f.arguments, f.examples, "",
        "table_funcs", Language.version, "", "built-in")
      TableFunctionRegistry.builtin.registerFunction(FunctionIdentifier(f.name), info, { arguments =>
        val bound = SqlFunctions.ask("bindTable", f.name, arguments)
        Option(bound.get("scan")).map(scan).getOrElse(PythonTable(f.name, bound.toString,
          StructType.fromDDL(f.schema).map(c => AttributeReference(c.name, c.dataType, c.nullable)())))
      })
    }
  }

  /** Rows in an existing Parquet file are read like those of a table: on the executors, and only the columns needed. */
  private def scan(bound: JsonNode): LogicalPlan = SparkSession.active.read.schema(bound.get("schema").asText)
    // Characters such as [ and { in the path of a warehouse are not a pattern.
    .option(DataSource.GLOB_PATHS_KEY, "false").parquet(bound.get("path").asText)
    .selectExpr(bound.get("columns").elements().asScala.map(_.asText).toSeq: _*).queryExecution.analyzed
}

/** Rows that Python returns for each query, in the columns of language.json; `bound` is the result of Python's bindTable. */
case class PythonTable(name: String, bound: String, output: Seq[Attribute]) extends LeafNode with MultiInstanceRelation {
  override def newInstance(): LogicalPlan = copy(output = output.map(_.newInstance()))
  override def computeStats(): Statistics = Statistics(sizeInBytes = 1 << 20) // small enough to be broadcast
  override protected def stringArgs: Iterator[Any] = Iterator(name, output)
}

case class PythonTableExec(name: String, bound: String, output: Seq[Attribute]) extends LeafExecNode {
  override lazy val metrics =
    Map("numOutputRows" -> SQLMetrics.createMetric(sparkContext, "number of output rows"))

  override protected def stringArgs: Iterator[Any] = Iterator(name, output)

  /** Fetched when the plan runs, not when it is created. */
  private def rows(): Seq[InternalRow] = {
    val answer = Hub.call(session, "tableRows", Map("function" -> name, "bound" -> Hub.json.readTree(bound)))
    val toUnsafe = UnsafeProjection.create(output, output)
    val columns = StructType(output.map(a => StructField(a.name, a.dataType)))
    val decoded = JsonRows.decode(answer, columns, conf.sessionLocalTimeZone)
    // UnsafeProjection returns the same object for each row, hence copy().
    (0 until decoded.numElements()).map(i => toUnsafe(decoded.getStruct(i, columns.size)).copy(): InternalRow)
  }

  override protected def doExecute(): RDD[InternalRow] = {
    val fetched = counted(rows())
    if (fetched.isEmpty) sparkContext.emptyRDD else sparkContext.parallelize(fetched, 1)
  }

  override def executeCollect(): Array[InternalRow] = counted(rows()).toArray
  override def executeTake(n: Int): Array[InternalRow] = counted(rows().take(n)).toArray

  private def counted(fetched: Seq[InternalRow]): Seq[InternalRow] = {
    longMetric("numOutputRows").add(fetched.size)
    fetched
  }
}

object TableFunctionStrategy extends Strategy {
  override def apply(plan: LogicalPlan): Seq[SparkPlan] = plan match {
    case t: PythonTable => PythonTableExec(t.name, t.bound, t.output) :: Nil
    case _ => Nil
  }
}
