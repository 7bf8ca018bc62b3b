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

/** The table functions of language.json, in the builtin registry: permanent views refuse an injected one. */
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

  /** Rows that are in a Parquet file already are read like a table's: on the executors, the columns that are needed. */
  private def scan(told: JsonNode): LogicalPlan = SparkSession.active.read.schema(told.get("schema").asText)
    .option(DataSource.GLOB_PATHS_KEY, "false").parquet(told.get("path").asText)
    .selectExpr(told.get("columns").elements().asScala.map(_.asText).toSeq: _*).queryExecution.analyzed
}

/** Rows that Python makes anew for each query, in the columns of language.json; `bound` is what its bind answered. */
case class PythonTable(name: String, bound: String, output: Seq[Attribute]) extends LeafNode with MultiInstanceRelation {
  override def newInstance(): LogicalPlan = copy(output = output.map(_.newInstance()))
  override def computeStats(): Statistics = Statistics(sizeInBytes = 1 << 20) // small enough to be broadcast
  override protected def stringArgs: Iterator[Any] = Iterator(name, output)
}

case class PythonTableExec(name: String, bound: String, output: Seq[Attribute]) extends LeafExecNode {
  override lazy val metrics =
    Map("numOutputRows" -> SQLMetrics.createMetric(sparkContext, "number of output rows"))

  override protected def stringArgs: Iterator[Any] = Iterator(name, output)

  /** Asked for when the plan runs, not when it is made. */
  private def rows(): Seq[InternalRow] = {
    val answer = Hub.call(session, "tableRows", Map("function" -> name, "bound" -> Hub.json.readTree(bound)))
    val toUnsafe = UnsafeProjection.create(output, output)
    val columns = StructType(output.map(a => StructField(a.name, a.dataType)))
    val made = JsonRows.decode(answer, columns, conf.sessionLocalTimeZone)
    (0 until made.numElements()).map(i => toUnsafe(made.getStruct(i, columns.size)).copy(): InternalRow)
  }

  override protected def doExecute(): RDD[InternalRow] = {
    val made = counted(rows())
    if (made.isEmpty) sparkContext.emptyRDD else sparkContext.parallelize(made, 1)
  }

  override def executeCollect(): Array[InternalRow] = counted(rows()).toArray
  override def executeTake(n: Int): Array[InternalRow] = counted(rows().take(n)).toArray

  private def counted(made: Seq[InternalRow]): Seq[InternalRow] = {
    longMetric("numOutputRows").add(made.size)
    made
  }
}

object TableFunctionStrategy extends Strategy {
  override def apply(plan: LogicalPlan): Seq[SparkPlan] = plan match {
    case t: PythonTable => PythonTableExec(t.name, t.bound, t.output) :: Nil
    case _ => Nil
  }
}
