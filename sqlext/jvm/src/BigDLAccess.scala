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

/** This file holds only what training needs of BigDL's package-private members, which is why it is in BigDL's package. */
object SqlExtAccess {

  /**
   * Sets explicitly what Engine.init would derive from the master's URL and Spark's settings. This also creates BigDL's thread
   * pool for forward and backward. Its size is fixed, since otherwise every change of `cores` would leave a pool behind.
   */
  def useCores(executors: Int, cores: Int): Unit = Engine.synchronized {
    // Trainings in one JVM come here at the same time, and Engine creates its pool without
    // a lock, so each could create one.
    val poolSize = "bigdl.utils.Engine.defaultPoolSize"
    if (System.getProperty(poolSize) == null) {
      // BigDL's own size is 50 threads per core; 50 is what a training in one task, which uses one core, would get.
      System.setProperty(poolSize, math.max(50, 4 * Runtime.getRuntime.availableProcessors).toString)
    }
    Engine.setNodeAndCore(executors, cores)
  }
}

/**
 * Reads the weights of DistriOptimizer, of which each executor holds a slice. It gets the two handles that this needs from
 * BigDL, which calls collectGlobalData in the driver before each update.
 */
class WeightsTap extends ParameterProcessor {
  // Transient: BigDL also sends the processors to the executors with each update, and an RDD must not travel with them.
  @transient private var models: RDD[_] = _
  @transient private var slices: AllReduceParameter[Float] = _

  override def collectGlobalData[T](
      models: RDD[Cache[T]], parameters: AllReduceParameter[T], metrics: Metrics, state: Table)
      (implicit ev: TensorNumeric[T]): Unit = {
    this.models = models
    this.slices = parameters.asInstanceOf[AllReduceParameter[Float]]
  }

  /** The current weights, concatenated in the order of Module.parameters(). Runs one Spark job. */
  def weights(): Array[Float] = {
    // A local copy: the closure would otherwise capture this object, whose transient fields are null on executors.
    val slices = this.slices
    models.mapPartitions { _ =>
      val slice = slices.weightPartition
      // BigDL counts offsets from 1.
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
