package org.apache.spark.sql.sqlext

import scala.collection.JavaConverters._

import org.apache.spark.TaskContext
import org.apache.spark.api.python.ChainedPythonFunctions
import org.apache.spark.sql.Strategy
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{Attribute, PythonUDF, UnsafeArrayData, UnsafeRow}
import org.apache.spark.sql.catalyst.plans.logical.{ArrowEvalPython, LogicalPlan}
import org.apache.spark.sql.execution.SparkPlan
import org.apache.spark.sql.execution.metric.SQLMetrics
import org.apache.spark.sql.execution.python.{ArrowPythonRunner, EvalPythonExec, PythonSQLMetrics}
import org.apache.spark.sql.types.StructType
import org.apache.spark.sql.util.ArrowUtils
import org.apache.spark.unsafe.types.UTF8String

object ScoringStrategy extends Strategy {
  override def apply(plan: LogicalPlan): Seq[SparkPlan] = plan match {
    case e: ArrowEvalPython if Scoring.isScored(e) =>
      ScoringExec(e.udfs, e.resultAttrs, planLater(e.child), e.evalType) :: Nil
    case _ => Nil
  }
}

/**
 * Spark's ArrowEvalPythonExec, with batches limited in bytes as well as rows, since 10,000 photographs exceed the capacity of
 * an Arrow batch. The limits are `spark.sqlext.batch.maxBytes` and `.maxRows`; the session's Arrow setting is not changed.
 */
case class ScoringExec(udfs: Seq[PythonUDF], resultAttrs: Seq[Attribute], child: SparkPlan, evalType: Int)
  extends EvalPythonExec with PythonSQLMetrics {

  private val timeZone = conf.sessionLocalTimeZone
  private val runnerConf = ArrowUtils.getPythonRunnerConfMap(conf)
  private val maxBytes = Settings.get[Long](conf, "batch.maxBytes")
  private val maxRows = Settings.get[Int](conf, "batch.maxRows")

  override lazy val metrics = pythonMetrics ++ Map(
    "scoredRows" -> SQLMetrics.createMetric(sparkContext, "number of scored rows"),
    "scoringBatches" -> SQLMetrics.createMetric(sparkContext, "number of scoring batches"))

  override protected def evaluate(
      functions: Seq[ChainedPythonFunctions], argOffsets: Array[Array[Int]], rows: Iterator[InternalRow],
      schema: StructType, context: TaskContext): Iterator[InternalRow] = {
    val (scoredRows, batches) = (longMetric("scoredRows"), longMetric("scoringBatches"))
    // All batches read from this iterator. The runner reads a batch to its end before it asks for the next one.
    val input = rows.buffered
    def batch(): Iterator[InternalRow] = new Iterator[InternalRow] {
      private var (count, bytes) = (0, 0L)
      // A batch has at least one row, because a single image may exceed the limit.
      override def hasNext: Boolean = input.hasNext && (count == 0 || (count < maxRows && bytes < maxBytes))
      override def next(): InternalRow = {
        val row = input.next()
        count += 1
        bytes += schema.indices.map(i => ScoringExec.size(row.get(i, schema(i).dataType))).sum
        scoredRows += 1
        row
      }
    }
    val batched = new Iterator[Iterator[InternalRow]] {
      override def hasNext: Boolean = input.hasNext
      override def next(): Iterator[InternalRow] = { batches += 1; batch() }
    }
    new ArrowPythonRunner(functions, evalType, argOffsets, schema, timeZone, runnerConf, pythonMetrics)
      .compute(batched, context.partitionId(), context).flatMap(_.rowIterator.asScala)
  }

  override protected def doCanonicalize(): SparkPlan = super.doCanonicalize() match {
    case e: ScoringExec => e.copy(resultAttrs = Scored.numbered(resultAttrs, child.output.size))
    case other => other
  }

  override protected def withNewChildInternal(newChild: SparkPlan): ScoringExec = copy(child = newChild)
}

object ScoringExec {
  /** The approximate number of bytes of a value; exact for the large ones (images, tensors). */
  private def size(value: Any): Long = value match {
    case b: Array[Byte] => b.length
    case s: UTF8String => s.numBytes
    case r: UnsafeRow => r.getSizeInBytes
    case a: UnsafeArrayData => a.getSizeInBytes
    case _ => 8
  }
}
