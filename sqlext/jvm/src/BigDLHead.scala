package org.apache.spark.sql.sqlext

import com.intel.analytics.bigdl.dllib.feature.dataset.Sample
import com.intel.analytics.bigdl.dllib.nn.{ClassNLLCriterion, Dropout, Linear, LogSoftMax, MSECriterion, ReLU, Sequential}
import com.intel.analytics.bigdl.dllib.nn.abstractnn.{AbstractCriterion, AbstractModule, Activity}
import com.intel.analytics.bigdl.dllib.optim.{Adadelta, Adagrad, Adam, Adamax, Ftrl, L2Regularizer, LBFGS, OptimMethod, RMSprop, SGD}
import com.intel.analytics.bigdl.dllib.tensor.Tensor
import com.intel.analytics.bigdl.dllib.tensor.TensorNumericMath.TensorNumeric.NumericFloat

/** The network that TRAIN fits: linear without `hidden`, otherwise a multilayer perceptron. `classes` None: regression. */
case class HeadSpec(width: Int, classes: Option[Int], hidden: Seq[Int], dropout: Double)

/** The resolved options of TRAIN, as sqlext/bigdl/records.py describes them. */
case class TrainSettings(
    epochs: Int, batchSize: Int, optimizer: String, learningRate: Double, momentum: Option[Double],
    dampening: Option[Double], weightDecay: Double, clipNorm: Option[Double], learningRateDecay: Double,
    earlyStop: Boolean, earlyStopPatience: Int, minLoss: Option[Double], maxRuntime: Option[Double], seed: Long,
    classWeights: Option[Seq[Double]])

/** Sums over rows, which can be added: of NLL or squared errors, and the number of correct predictions (classes only). */
case class Scores(rows: Long, loss: Double, right: Long) {
  def +(other: Scores): Scores = Scores(rows + other.rows, loss + other.loss, right + other.right)
  def meanLoss: Double = loss / rows
  def metric(spec: HeadSpec): Double = if (spec.classes.isDefined) right.toDouble / rows else math.sqrt(meanLoss)
}

/** Heads as BigDL modules: building, weights, scores, files. */
object BigDLHead {
  type Module = AbstractModule[Activity, Activity, Float]

  /**
   * Layers have fixed names, so that the bytes of a saved head depend only on its weights. Dropout precedes every Linear except
   * the first of a perceptron. The initial weights come from this thread's random generator of BigDL.
   */
  def build(spec: HeadSpec, weightDecay: Double = 0.0): Module = {
    // BigDL's Adam has no weight decay. A regularizer of each layer acts on the gradients, whatever the optimizer.
    def decay = if (weightDecay > 0) L2Regularizer[Float](weightDecay) else null
    val widths = spec.width +: spec.hidden :+ spec.classes.getOrElse(1)
    val head = Sequential[Float]()
    widths.sliding(2).zipWithIndex.foreach { case (Seq(in, out), i) =>
      val last = i == spec.hidden.length
      if (spec.dropout > 0 && (i > 0 || last)) head.add(Dropout[Float](spec.dropout).setName(s"dropout${i + 1}"))
      head.add(Linear[Float](in, out, wRegularizer = decay, bRegularizer = decay).setName(s"linear${i + 1}"))
      if (!last) head.add(ReLU[Float]().setName(s"relu${i + 1}"))
    }
    if (spec.classes.isDefined) head.add(LogSoftMax[Float]().setName("logsoftmax"))
    head.setName("head").asInstanceOf[Module]
  }

  def criterion(spec: HeadSpec, settings: TrainSettings): AbstractCriterion[Activity, Activity, Float] = {
    // BigDL divides the loss of a batch by the sum of its rows' weights, so weights do not scale the learning rate.
    val weights = settings.classWeights.map(w => Tensor[Float](w.map(_.toFloat).toArray, Array(w.length))).orNull
    val loss = if (spec.classes.isDefined) ClassNLLCriterion[Float](weights) else MSECriterion[Float]()
    loss.asInstanceOf[AbstractCriterion[Activity, Activity, Float]]
  }

  /** BigDL's optimizers by SQL name. LBFGS takes one step per batch, since more steps would all use the same batch. */
  val optimizers: Map[String, TrainSettings => OptimMethod[Float]] = Map(
    // Double.MaxValue is BigDL's "not set", which it replaces by the momentum.
    "sgd" -> (s => new SGD[Float](s.learningRate, s.learningRateDecay, momentum = s.momentum.getOrElse(0.0),
      dampening = s.dampening.getOrElse(Double.MaxValue))),
    "adam" -> (s => new Adam[Float](s.learningRate, s.learningRateDecay)),
    "adagrad" -> (s => new Adagrad[Float](s.learningRate, s.learningRateDecay)),
    "adadelta" -> (_ => new Adadelta[Float]()),
    "adamax" -> (s => new Adamax[Float](s.learningRate)),
    "rmsprop" -> (s => new RMSprop[Float](s.learningRate, s.learningRateDecay)),
    "ftrl" -> (s => new Ftrl[Float](s.learningRate)),
    "lbfgs" -> (s => new LBFGS[Float](maxIter = 1, learningRate = s.learningRate)))

  /** A copy of all weights, concatenated as W1, b1, W2, b2, .. */
  def weights(head: Module): Array[Float] = head.parameters()._1.flatMap { t =>
    // An optimizer of BigDL moves all weights of a module into one storage, so each tensor is a slice of an array.
    java.util.Arrays.copyOfRange(t.storage().array(), t.storageOffset() - 1, t.storageOffset() - 1 + t.nElement())
  }

  def load(head: Module, weights: Array[Float]): Module = {
    var from = 0
    head.parameters()._1.foreach { t =>
      System.arraycopy(weights, from, t.storage().array(), t.storageOffset() - 1, t.nElement())
      from += t.nElement()
    }
    require(from == weights.length, s"the head has $from weights, not ${weights.length}")
    head
  }

  /** Writes the head as BigDL's protobuf, in a file each for definition and weights; without dropout, which only training needs. */
  def save(spec: HeadSpec, weights: Array[Float], definition: String, weightFile: String): Unit =
    BigDLFiles.save(load(build(spec.copy(dropout = 0)), weights), definition, weightFile)

  /** One row in BigDL's form: features and target in one array. Only in BigDL do class indices start at 1. */
  def sample(features: Array[Float], target: Double, spec: HeadSpec): Sample[Float] = {
    require(features.length == spec.width, s"a row has ${features.length} features, not ${spec.width}")
    val data = java.util.Arrays.copyOf(features, features.length + 1)
    data(features.length) = (if (spec.classes.isDefined) target + 1 else target).toFloat
    Sample[Float](data, Array(Array(spec.width)), Array(Array(1)))
  }

  /** Scores of the head on the rows with dropout off. All values of loss, val_loss and metric_value come from here. */
  def scores(head: Module, rows: Iterator[Sample[Float]], spec: HeadSpec): Scores = {
    head.evaluate()
    try rows.grouped(1024).map(batch => scoreBatch(head, batch, spec)).foldLeft(Scores(0, 0, 0))(_ + _)
    finally head.training()
  }

  private def scoreBatch(head: Module, batch: Seq[Sample[Float]], spec: HeadSpec): Scores = {
    val input = Tensor[Float](batch.length, spec.width)
    batch.zipWithIndex.foreach { case (row, i) => input.select(1, i + 1).copy(row.feature()) }
    val output = head.forward(input).toTensor[Float].contiguous()
    val (values, from, width) = (output.storage().array(), output.storageOffset() - 1, spec.classes.getOrElse(1))
    batch.zipWithIndex.map { case (row, i) => scoreRow(values, from + i * width, width, row.label().valueAt(1), spec) }
      .foldLeft(Scores(0, 0, 0))(_ + _)
  }

  private def scoreRow(values: Array[Float], from: Int, width: Int, target: Float, spec: HeadSpec): Scores =
    if (spec.classes.isDefined) {
      val label = target.toInt - 1
      // Of equal scores the first wins, as with NumPy's argmax, which predicts later.
      val best = (0 until width).maxBy(c => values(from + c))
      Scores(1, -values(from + label).toDouble, if (best == label) 1 else 0)
    } else {
      val error = values(from).toDouble - target
      Scores(1, error * error, 0)
    }
}
