package org.apache.spark.sql.sqlext

import java.nio.file.{Files, Paths}
import java.util.concurrent.{ConcurrentHashMap, ConcurrentLinkedQueue, TimeUnit}

import com.intel.analytics.bigdl.dllib.tensor.Tensor
import com.intel.analytics.bigdl.dllib.tensor.TensorNumericMath.TensorNumeric.NumericFloat
import org.apache.spark.{SparkContext, SparkEnv}
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.ThreadUtils
import org.json4s.{DefaultFormats, Formats}
import org.json4s.jackson.JsonMethods

/**
 * One module of a chain as it is sent to executors: BigDL's protobuf definition and the weights. Its input is reshaped to
 * (1, inputShape ..). `output` selects one of several outputs (from 0); it is None for a module with one output.
 */
case class BigDLModuleFiles(definition: Array[Byte], weights: Array[Byte], inputShape: Seq[Int], output: Option[Int])

/** Chains of modules by key: broadcasts in the driver, loaded modules in an executor. */
object BigDLModels {
  private case class Registered(context: SparkContext, broadcast: Broadcast[Seq[BigDLModuleFiles]])
  private case class Named(definition: String, weights: String, inputShape: Seq[Int], output: Option[Int])
  private val registered = new ConcurrentHashMap[String, Registered]()
  private implicit val formats: Formats = DefaultFormats

  /** @param chain JSON: a list of {definition, weights, input_shape, output}; the files are read by this call, once per key */
  def register(spark: SparkSession, key: String, chain: String): Unit = registered.compute(key, (_, known) =>
    // compute() locks the key: of two queries that are analysed at the same time, only one reads and broadcasts the network. A
    // broadcast of a SparkContext that was stopped is gone, so the context is compared, too.
    if (known != null && (known.context eq spark.sparkContext)) known
    else {
      val files = JsonMethods.parse(chain).camelizeKeys.extract[List[Named]].map { m =>
        val definition = Files.readAllBytes(Paths.get(m.definition))
        // Executors check again when they load it; here the error reaches the user before a job runs.
        BigDLFiles.check(definition, m.definition)
        BigDLModuleFiles(definition, Files.readAllBytes(Paths.get(m.weights)), m.inputShape, m.output)
      }
      Registered(spark.sparkContext, spark.sparkContext.broadcast[Seq[BigDLModuleFiles]](files))
    })

  def isRegistered(spark: SparkSession, key: String): Boolean =
    Option(registered.get(key)).exists(_.context eq spark.sparkContext)

  /** Executors drop the files together with the broadcast, and loaded modules once they have been idle for a while. */
  def unregister(key: String): Unit = Option(registered.remove(key)).foreach(_.broadcast.destroy())

  def broadcast(key: String): Broadcast[Seq[BigDLModuleFiles]] = Option(registered.get(key)).map(_.broadcast)
    .getOrElse(throw Errors.analysis("INVALID_ARGUMENTS",
      "signature" -> "sqlext_bigdl_forward(key, features)",
      "problem" -> s"knows no modules '$key'"))

  // --- in an executor --------------------------------------------------------------------------------------------

  private val chains = new ConcurrentHashMap[Long, LoadedChain]()

  private[sqlext] def loaded(modules: Broadcast[Seq[BigDLModuleFiles]]): LoadedChain = {
    sweeper
    // By the broadcast's id: a key that is registered a second time may have other files.
    chains.computeIfAbsent(modules.id, _ => new LoadedChain(modules.value))
  }

  private lazy val sweeper = {
    val idle = SparkEnv.get.conf.getTimeAsMs(Settings.prefix + "models.idle", "30m")
    ThreadUtils.newDaemonSingleThreadScheduledExecutor("sqlext-bigdl-models").scheduleWithFixedDelay(
      // A task that uses a removed chain holds its modules itself, so it is not disturbed; a later task loads the files again.
      () => chains.values().removeIf(_.idleSince(System.currentTimeMillis - idle)), 1, 1, TimeUnit.MINUTES)
  }
}

/** A chain in this JVM: loaded once, then cloned for each concurrent task. The clones share their weights. */
private[sqlext] class LoadedChain(files: Seq[BigDLModuleFiles]) {
  private val originals = files.map(file => BigDLFiles.load(file.definition, file.weights))
  private val free = new ConcurrentLinkedQueue[Seq[AnyRef]]()
  @volatile private var usedAt = System.currentTimeMillis

  /** Lends modules for exclusive use, since BigDL's modules are not thread-safe. */
  def borrow(): Seq[AnyRef] = {
    usedAt = System.currentTimeMillis
    // cloneModule serializes the original, which must not happen in two threads at once.
    Option(free.poll()).getOrElse(originals.synchronized(originals.map(BigDLRun.copy)))
  }

  def giveBack(modules: Seq[AnyRef]): Unit = {
    usedAt = System.currentTimeMillis
    free.add(modules)
  }

  def idleSince(time: Long): Boolean = usedAt < time

  def forward(modules: Seq[AnyRef], features: Array[Float]): Array[Float] =
    modules.zip(files).foldLeft(features) { case (values, (module, file)) =>
      BigDLRun.forward(module.asInstanceOf[BigDLHead.Module], values, file.inputShape, file.output)
    }
}

/** Runs one module. */
private[sqlext] object BigDLRun {

  /** A clone that has separate buffers but shares the original's weights. */
  def copy(module: BigDLHead.Module): BigDLHead.Module = {
    val clone = module.cloneModule().asInstanceOf[BigDLHead.Module]
    // parameters() is null for a module without weights.
    if (module.parameters() != null) {
      clone.parameters()._1.zip(module.parameters()._1).foreach { case (own, shared) => own.set(shared) }
    }
    clone.evaluate().asInstanceOf[BigDLHead.Module]
  }

  def forward(module: BigDLHead.Module, features: Array[Float], shape: Seq[Int], output: Option[Int]): Array[Float] = {
    require(features.length == shape.product, s"the network takes ${shape.product} numbers, not ${features.length}")
    val result = module.forward(Tensor[Float](features, (1 +: shape).toArray))
    // Tables count from 1. An output can be a view of a larger buffer; only a contiguous tensor has its numbers in one piece.
    val tensor = output.fold(result.toTensor[Float])(i => result.toTable[Tensor[Float]](i + 1)).contiguous()
    val from = tensor.storageOffset() - 1
    java.util.Arrays.copyOfRange(tensor.storage().array(), from, from + tensor.nElement())
  }
}
