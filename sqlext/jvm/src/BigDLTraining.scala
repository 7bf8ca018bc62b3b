package org.apache.spark.sql.sqlext

import java.nio.{ByteBuffer, ByteOrder}
import java.util.concurrent.locks.{Lock, ReentrantReadWriteLock}

import com.intel.analytics.bigdl.dllib.feature.dataset.{DataSet, DistributedDataSet, LocalDataSet, MiniBatch, Sample, SampleToMiniBatch}
import com.intel.analytics.bigdl.dllib.optim.{LocalOptimizer, OptimMethod, Optimizer, SqlExtAccess, TappedOptimizer, WeightsTap}
import com.intel.analytics.bigdl.dllib.tensor.TensorNumericMath.TensorNumeric.NumericFloat
import com.intel.analytics.bigdl.dllib.utils.RandomGenerator
import org.apache.spark.{SparkContext, TaskContext}
import org.apache.spark.rdd.RDD
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.storage.StorageLevel
import org.json4s.{DefaultFormats, Extraction, Formats}
import org.json4s.jackson.JsonMethods

/** One training as Python requests it. `executors` 0: in one task, otherwise on so many executors with `cores` cores each. */
case class TrainRequest(run: String, name: String, head: HeadSpec, settings: TrainSettings, executors: Int, cores: Int)

/** The result for Python: the report as JSON, the weights as little-endian float32. */
class TrainAnswer(trained: Trained) {
  def report: String = BigDLTraining.toJson(
    Map("history" -> trained.history, "best_epoch" -> trained.best, "batch_size" -> trained.batchSize,
      "stopped" -> trained.stopped))
  def weights: Array[Byte] = {
    val bytes = ByteBuffer.allocate(4 * trained.weights.length).order(ByteOrder.LITTLE_ENDIAN)
    bytes.asFloatBuffer().put(trained.weights)
    bytes.array()
  }
}

/** The entry points that Python calls (sqlext/bigdl/training.py). */
object BigDLTraining {
  private implicit val formats: Formats = DefaultFormats
  // BigDL's Engine has one number of cores per JVM. Trainings in one task can share it; a distributed one needs it exclusively.
  // It is fair, so that new trainings in one task do not overtake a distributed one that waits.
  private val engine = new ReentrantReadWriteLock(true)

  def toMap(record: AnyRef): Map[String, Any] = Extraction.decompose(record).snakizeKeys.values.asInstanceOf[Map[String, Any]]
  def toJson(value: Any): String = JsonMethods.compact(Extraction.decompose(value).snakizeKeys)
  private def fromJson[T: Manifest](json: String): T = JsonMethods.parse(json).camelizeKeys.extract[T]

  /**
   * @param rows features ARRAY<FLOAT>, target DOUBLE, validates BOOLEAN, without nulls
   * @param initial weights to start from, little-endian float32, or null
   */
  def train(rows: DataFrame, request: String, initial: Array[Byte]): TrainAnswer = {
    EpochEndpoint.start()
    val parsed = fromJson[TrainRequest](request)
    val start = Option(initial).map(floats)
    val trained =
      if (parsed.executors == 0) holding(engine.readLock())(OneTask.train(rows, parsed, start))
      else holding(engine.writeLock())(Distributed.train(rows, parsed, start))
    new TrainAnswer(trained)
  }

  def save(head: String, weights: Array[Byte], definition: String, weightFile: String): Unit = {
    BigDLHead.save(fromJson[HeadSpec](head), floats(weights), definition, weightFile)
  }

  private def floats(bytes: Array[Byte]): Array[Float] = {
    val values = new Array[Float](bytes.length / 4)
    ByteBuffer.wrap(bytes).order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(values)
    values
  }

  private def holding[T](lock: Lock)(body: => T): T = {
    // Interruptibly, because a training that waits must be cancellable, too.
    lock.lockInterruptibly()
    try body finally lock.unlock()
  }

  private[sqlext] def read(row: InternalRow, head: HeadSpec): (Boolean, Sample[Float]) =
    row.getBoolean(2) -> BigDLHead.sample(row.getArray(0).toFloatArray(), row.getDouble(1), head)

  private[sqlext] def configure[D](optimizer: Optimizer[Float, D], settings: TrainSettings): Unit = {
    optimizer.setOptimMethod(BigDLHead.optimizers(settings.optimizer)(settings))
    settings.clipNorm.foreach(optimizer.setGradientClippingByl2Norm(_))
  }
}

/** BigDL's LocalOptimizer inside one executor task. Rows in several partitions reach it through a shuffle, never through the driver. */
private[sqlext] object OneTask {

  def train(rows: DataFrame, request: TrainRequest, start: Option[Array[Float]]): Trained =
    // Spark may return the same InternalRow object for each row, so read() copies its values.
    inOnePartition(rows).queryExecution.toRdd
      .mapPartitions(part => Iterator.single(inTask(part.map(BigDLTraining.read(_, request.head)), request, start)))
      .collect().head

  /** The rows as one partition; without a shuffle if they already are. */
  private def inOnePartition(rows: DataFrame): DataFrame =
    if (rows.queryExecution.executedPlan.outputPartitioning.numPartitions == 1) rows else rows.repartition(1)

  /**
   * To be repeatable, it uses one core, since sums would depend on how a batch is divided among several, and sorts the rows,
   * since their order would depend on the partitions.
   */
  private def inTask(rows: Iterator[(Boolean, Sample[Float])], request: TrainRequest, start: Option[Array[Float]]): Trained = {
    val settings = request.settings
    SqlExtAccess.useCores(1, 1)
    val (validation, training) = rows.toArray.partition(_._1)
    val (train, valid) = (inOrder(training.map(_._2)), inOrder(validation.map(_._2)))
    // BigDL has a generator per thread. It draws the initial weights and shuffles the rows in this thread, so the seed must be
    // set here, before the head is built.
    RandomGenerator.RNG.setSeed(settings.seed)
    val head = BigDLHead.build(request.head, settings.weightDecay)
    start.foreach(BigDLHead.load(head, _))
    // BigDL reads the rows in an endless loop: a larger batch would contain rows twice.
    val batch = math.min(settings.batchSize, train.length)
    // A clone, since BigDL shuffles the array in place. Scores sum over `train` itself, so that the order of the sum is fixed.
    val data = (DataSet.array(train.clone()) -> SampleToMiniBatch[Float](batch, parallelizing = false)).asInstanceOf[LocalDataSet[MiniBatch[Float]]]
    val optimizer = new LocalOptimizer[Float](head, data, BigDLHead.criterion(request.head, settings))
    val context = TaskContext.get
    val end = new EpochEnd(request, context.attemptNumber(), new EpochWork {
      override val trainingRows: Long = train.length
      override val validates: Boolean = valid.nonEmpty
      override def scores(): (Scores, Option[Scores]) = (
        BigDLHead.scores(head, train.iterator, request.head),
        if (validates) Some(BigDLHead.scores(head, valid.iterator, request.head)) else None)
      override def weights(): Array[Float] = BigDLHead.weights(head)
      override def checkInterrupted(): Unit = context.killTaskIfInterrupted()
    })
    BigDLTraining.configure(optimizer, settings)
    optimizer.setEndWhen(end).optimize()
    end.result(batch)
  }

  /**
   * Sorts rows by their values, so that the order does not depend on the partitions. Features differ in the last digits between
   * kinds of CPU and engines, which would change an order by hashes entirely. BigDL shuffles the rows by the seed.
   */
  private def inOrder(rows: Array[Sample[Float]]): Array[Sample[Float]] =
    rows.map(_.getData()).zip(rows).sortWith((a, b) => precedes(a._1, b._1)).map(_._2)

  private def precedes(a: Array[Float], b: Array[Float]): Boolean = {
    var i = 0
    while (i < a.length && a(i) == b(i)) i += 1
    i < a.length && a(i) < b(i)
  }
}

/** BigDL's DistriOptimizer on all executors, which hold the rows and weights. One job over the cached rows scores each epoch. */
private[sqlext] object Distributed {

  def train(rows: DataFrame, request: TrainRequest, start: Option[Array[Float]]): Trained = {
    val sc = rows.sparkSession.sparkContext
    // Other sessions may cache RDDs during the training; these have other names and are not touched.
    val cachedBefore = sc.getPersistentRDDs.keySet
    SqlExtAccess.useCores(request.executors, request.cores)
    try fit(sc, rows.queryExecution.toRdd, request, start)
    // BigDL leaves the rows, their order and, after a failure, its models cached on the executors.
    finally (sc.getPersistentRDDs -- cachedBefore).values.filter(ours).foreach(_.unpersist(blocking = false))
  }

  private val leftBehind =
    Set("cached dataset", "original index", "shuffled index", "Cached Transformer", "Thread Model RDD", "validation rows")
  private def ours(rdd: RDD[_]): Boolean = leftBehind(rdd.name)

  private def fit(sc: SparkContext, source: RDD[InternalRow], request: TrainRequest, start: Option[Array[Float]]): Trained = {
    val (spec, settings, executors) = (request.head, request.settings, request.executors)
    def samples(validating: Boolean): RDD[Sample[Float]] = source.map(BigDLTraining.read(_, spec)).filter(_._1 == validating).map(_._2)
    RandomGenerator.RNG.setSeed(settings.seed)
    val head = BigDLHead.build(spec, settings.weightDecay)
    start.foreach(BigDLHead.load(head, _))
    val train = DataSet.rdd(samples(validating = false), executors)
    val data = (train -> SampleToMiniBatch[Float](settings.batchSize, partitionNum = Some(executors)))
      .asInstanceOf[DistributedDataSet[MiniBatch[Float]]]
    // Cached as one array per executor, like BigDL's training rows: the job that scores an epoch then needs no shuffle.
    val valid = samples(validating = true).coalesce(executors, shuffle = true)
      .mapPartitions(part => Iterator.single(part.toArray)).setName("validation rows").persist(StorageLevel.MEMORY_AND_DISK)
    val tap = new WeightsTap
    val work = new DistributedWork(sc, request, train.originRDD().asInstanceOf[RDD[Array[Sample[Float]]]], valid, tap)
    val end = new EpochEnd(request, 0, work)
    val optimizer = new TappedOptimizer(head, data, BigDLHead.criterion(spec, settings), tap)
    BigDLTraining.configure(optimizer, settings)
    // No checkpoint is set: with one, DistriOptimizer would repeat failed steps by itself, even those of a cancelled training.
    // BigDL's default compression would exchange weights with only 7 bits of mantissa.
    optimizer.setCompressType("none").setEndWhen(end)
    work.describe(1)
    optimizer.optimize()
    end.result(settings.batchSize)
  }
}

private class DistributedWork(
    sc: SparkContext, request: TrainRequest, train: RDD[Array[Sample[Float]]], valid: RDD[Array[Sample[Float]]], tap: WeightsTap)
  extends EpochWork {
  private var epoch = 1
  private var last: Array[Float] = _
  override lazy val trainingRows: Long = train.map(_.length.toLong).reduce(_ + _)
  private lazy val validationRows: Long = valid.map(_.length.toLong).reduce(_ + _)
  override def validates: Boolean = validationRows > 0

  def describe(epoch: Int): Unit = sc.setJobDescription(s"${request.name}: epoch $epoch/${request.settings.epochs}")

  override def scores(): (Scores, Option[Scores]) = {
    last = tap.weights()
    val weights = sc.broadcast(last)
    val spec = request.head
    def score(rows: RDD[Array[Sample[Float]]], validating: Boolean): RDD[(Boolean, Scores)] = rows.map { part =>
      validating -> BigDLHead.scores(BigDLHead.load(BigDLHead.build(spec), weights.value), part.iterator, spec)
    }
    val parts = try score(train, validating = false).union(score(valid, validating = true)).collect() finally weights.destroy()
    val sums = parts.groupBy(_._1).mapValues(_.map(_._2).reduce(_ + _))
    epoch += 1
    describe(math.min(epoch, request.settings.epochs))
    (sums(false), sums.get(true).filter(_.rows > 0))
  }

  /** The weights of the epoch that was scored last. */
  override def weights(): Array[Float] = last

  override def checkInterrupted(): Unit = if (Thread.interrupted()) throw new InterruptedException("training was cancelled")
}
