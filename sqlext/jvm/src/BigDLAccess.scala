package com.intel.analytics.bigdl.dllib.optim

import scala.reflect.ClassTag

import com.intel.analytics.bigdl.dllib.feature.dataset.{DistributedDataSet, MiniBatch}
import com.intel.analytics.bigdl.dllib.nn.abstractnn.{AbstractCriterion, AbstractModule, Activity}
import com.intel.analytics.bigdl.dllib.optim.DistriOptimizer.Cache
import com.intel.analytics.bigdl.dllib.optim.parameters.{AllReduceParameter, ParameterProcessor}
import com.intel.analytics.bigdl.dllib.tensor.TensorNumericMath.TensorNumeric
import com.intel.analytics.bigdl.dllib.utils.{Engine, Table}
import org.apache.spark.TaskContext
import org.apache.spark.rdd.RDD

/** The three things of BigDL that it keeps to its own package and that training from SQL needs. Nothing else is here. */
object SqlExtAccess {

  /**
   * What Engine.init sets, given instead of guessed: BigDL would parse the master's URL and look for settings. It also makes
   * the thread pool that forward and backward run on; one size for all, or each change of `cores` leaves a pool behind.
   */
  def useCores(executors: Int, cores: Int): Unit = Engine.synchronized {
    val poolSize = "bigdl.utils.Engine.defaultPoolSize"
    if (System.getProperty(poolSize) == null) {
      System.setProperty(poolSize, math.max(50, 4 * Runtime.getRuntime.availableProcessors).toString)
    }
    Engine.setNodeAndCore(executors, cores)
  }
}

/**
 * Sees the weights that DistriOptimizer keeps on the executors, each executor a slice. BigDL calls collectGlobalData in the
 * driver before each update: that is where the two handles come from.
 */
class WeightsTap extends ParameterProcessor {
  @transient private var models: RDD[_] = _
  @transient private var slices: AllReduceParameter[Float] = _

  override def collectGlobalData[T](
      models: RDD[Cache[T]], parameters: AllReduceParameter[T], metrics: Metrics, state: Table)
      (implicit ev: TensorNumeric[T]): Unit = {
    this.models = models
    this.slices = parameters.asInstanceOf[AllReduceParameter[Float]]
  }

  /** The weights now, one after the other in the order of Module.parameters(); one Spark job. */
  def weights(): Array[Float] = {
    val slices = this.slices
    models.mapPartitions { _ =>
      val slice = slices.weightPartition
      val from = slice.storageOffset() - 1
      val copy = java.util.Arrays.copyOfRange(slice.storage().array(), from, from + slice.nElement())
      Iterator.single(TaskContext.getPartitionId() -> copy)
    }.collect().sortBy(_._1).flatMap(_._2)
  }
}

/** BigDL's DistriOptimizer with a tap on its weights. */
class TappedOptimizer(
    model: AbstractModule[Activity, Activity, Float],
    rows: DistributedDataSet[MiniBatch[Float]],
    criterion: AbstractCriterion[Activity, Activity, Float],
    tap: WeightsTap)(implicit tag: ClassTag[Float], ev: TensorNumeric[Float])
  extends DistriOptimizer[Float](model, rows, criterion) {
  parameterProcessors.append(tap)
}
