package org.apache.spark.sql.sqlext

import scala.util.control.NonFatal

import org.apache.spark.rdd.RDD
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{Attribute, SortOrder}
import org.apache.spark.sql.catalyst.plans.physical.Partitioning
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.execution.{ColumnarRule, ExecSubqueryExpression, SparkPlan, UnaryExecNode}
import org.apache.spark.sql.execution.adaptive.AdaptiveSparkPlanExec
import org.apache.spark.sql.execution.columnar.InMemoryTableScanExec
import org.apache.spark.sql.execution.exchange.Exchange

/**
 * Unwraps our errors about a row, and those of table functions. Otherwise they would be inside Spark's report of the failed
 * job, to which JDBC adds the stack trace. The node is at the root of the plan, above adaptive execution, where the driver
 * waits for jobs, and only in plans that may fail so. What Spark runs without this node (Dataset.rdd) fails with Spark's report.
 */
object RowErrors extends ColumnarRule {
  override def postColumnarTransitions: Rule[SparkPlan] = {
    // Adaptive execution also applies this rule to each stage, whose root is an exchange.
    // The node above the whole plan is enough.
    case plan @ (_: Exchange | _: RowErrorsExec) => plan
    case plan if !plan.supportsColumnar && mayRefuse(plan) => RowErrorsExec(plan)
    case plan => plan
  }

  private def mayRefuse(plan: SparkPlan): Boolean = plan.exists {
    case adaptive: AdaptiveSparkPlanExec => mayRefuse(adaptive.inputPlan)
    case cached: InMemoryTableScanExec => mayRefuse(cached.relation.cachedPlan)
    case _: PythonTableExec => true
    case node => node.expressions.exists(_.exists {
      case read: ReadImage => read.files.folders.nonEmpty
      case subquery: ExecSubqueryExpression => mayRefuse(subquery.plan)
      case _ => false
    })
  }

  def clean[T](body: => T): T = try body catch {
    // At most 20, since causes can form a loop.
    case NonFatal(e) => throw Iterator.iterate[Throwable](e)(_.getCause).takeWhile(_ != null).take(20)
      .collectFirst { case ours: SqlExtError => ThriftErrors.forClient(ours) }.getOrElse(e)
  }
}

case class RowErrorsExec(child: SparkPlan) extends UnaryExecNode {
  override def output: Seq[Attribute] = child.output
  override def outputPartitioning: Partitioning = child.outputPartitioning
  override def outputOrdering: Seq[SortOrder] = child.outputOrdering

  override protected def doExecute(): RDD[InternalRow] = RowErrors.clean(child.execute())
  override def executeCollect(): Array[InternalRow] = RowErrors.clean(child.executeCollect())
  override def executeTake(n: Int): Array[InternalRow] = RowErrors.clean(child.executeTake(n))
  override def executeTail(n: Int): Array[InternalRow] = RowErrors.clean(child.executeTail(n))
  override def executeToIterator(): Iterator[InternalRow] = {
    val rows = RowErrors.clean(child.executeToIterator())
    new Iterator[InternalRow] {
      override def hasNext: Boolean = RowErrors.clean(rows.hasNext)
      override def next(): InternalRow = RowErrors.clean(rows.next())
    }
  }

  override protected def withNewChildInternal(newChild: SparkPlan): RowErrorsExec = copy(child = newChild)
}
