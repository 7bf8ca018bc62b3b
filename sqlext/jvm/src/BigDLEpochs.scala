package org.apache.spark.sql.sqlext

import java.util.concurrent.Executors

import scala.collection.mutable.ArrayBuffer
import scala.concurrent.duration.DurationInt
import scala.util.control.NonFatal

import com.intel.analytics.bigdl.dllib.optim.Trigger
import com.intel.analytics.bigdl.dllib.utils.Table
import org.apache.spark.SparkEnv
import org.apache.spark.internal.Logging
import org.apache.spark.rpc.{RpcCallContext, RpcEndpoint, RpcEnv, RpcTimeout}
import org.apache.spark.util.{RpcUtils, ThreadUtils}

/** One finished epoch. `recordedAt` is in milliseconds since 1970; values that are not finite numbers are None. */
case class Epoch(
    run: String, attempt: Int, epoch: Int, iteration: Long, loss: Option[Double], valLoss: Option[Double],
    metricValue: Option[Double], learningRate: Option[Double], rowsPerSecond: Double, recordedAt: Long)

/** The result of a training: all epochs, and the weights of the epoch `best`. */
case class Trained(weights: Array[Float], history: Seq[Epoch], best: Int, batchSize: Int, stopped: Option[String])

/** A Spark RPC endpoint in the driver, to which executors report epochs. We open no sockets on executors. */
object EpochEndpoint {
  private val name = "sqlext-epochs"
  // Python writes the run's file before it answers, which may take a while. A lost driver is noticed immediately anyway.
  private val timeout = new RpcTimeout(1.hour, "the answer of the driver to an epoch")
  private var open: RpcEnv = _

  /** Opens the endpoint once per SparkContext. */
  def start(): Unit = synchronized {
    val env = SparkEnv.get.rpcEnv
    if (open ne env) {
      env.setupEndpoint(name, new EpochEndpoint(env))
      open = env
    }
  }

  /** Reports an epoch from any executor and waits for the driver's answer: whether to go on. */
  def report(record: Epoch): Boolean = {
    val env = SparkEnv.get
    RpcUtils.makeDriverRef(name, env.conf, env.rpcEnv).askSync[Boolean](record, timeout)
  }
}

/** Passes epochs on to Python's method `epoch`, and the answers back. */
private class EpochEndpoint(override val rpcEnv: RpcEnv) extends RpcEndpoint with Logging {
  // Separate threads, since Python may take long and Spark's dispatcher threads also handle heartbeats.
  private val threads = Executors.newCachedThreadPool(ThreadUtils.namedThreadFactory("sqlext-epochs"))

  override def receiveAndReply(context: RpcCallContext): PartialFunction[Any, Unit] = {
    case record: Epoch => threads.submit(new Runnable {
      override def run(): Unit =
        try context.reply(Hub.call(null, "epoch", BigDLTraining.toMap(record)).get("go").asBoolean)
        catch {
          case NonFatal(e) =>
            logWarning(s"Training ${record.run} stops: its epoch ${record.epoch} could not be recorded", e)
            context.reply(false)
        }
    })
  }

  override def onStop(): Unit = threads.shutdownNow()
}

/**
 * Decides after every iteration whether training ends. At the end of each epoch it scores all rows, reports the epoch and
 * stores the best weights. It serves both BigDL's LocalOptimizer and DistriOptimizer; `work` does what differs between them.
 */
class EpochEnd(request: TrainRequest, attempt: Int, work: EpochWork) extends Trigger {
  private val settings = request.settings
  private val history = ArrayBuffer.empty[Epoch]
  private var best: Option[(Double, Int, Array[Float])] = None
  private var stopped: Option[String] = None
  private val started = System.nanoTime
  private var epochStarted = started

  /** BigDL counts epochs and iterations from 1, and has already increased both numbers when it calls this. */
  override def apply(state: Table): Boolean = {
    work.checkInterrupted()
    if (state[Int]("epoch") - 1 > history.length && stopped.isEmpty) {
      finishEpoch(state[Int]("neval") - 1)
      epochStarted = System.nanoTime
    }
    stopped.isDefined || history.length >= settings.epochs
  }

  def result(batchSize: Int): Trained = {
    val (epoch, weights) = best.map(b => (b._2, b._3)).getOrElse((history.length, work.weights()))
    Trained(weights, history.toSeq, epoch, batchSize, stopped)
  }

  private def finishEpoch(iteration: Long): Unit = {
    // Before the scoring, whose time does not count in rows_per_second.
    val rate = work.trainingRows / ((System.nanoTime - epochStarted) / 1e9)
    val (train, validation) = work.scores()
    val epoch = Epoch(request.run, attempt, history.length + 1, iteration, finite(train.meanLoss),
      validation.flatMap(v => finite(v.meanLoss)), validation.flatMap(v => finite(v.metric(request.head))),
      learningRate(iteration), rate, System.currentTimeMillis)
    history += epoch
    if (settings.earlyStop) keepBest(epoch)
    val go = EpochEndpoint.report(epoch)
    stopped = if (!go) Some("cancelled") else reasonToStop(epoch)
  }

  private def finite(value: Double): Option[Double] = Some(value).filterNot(v => v.isNaN || v.isInfinite)

  /** The best epoch has the lowest validation loss or, without validation rows, the lowest training loss. */
  private def keepBest(epoch: Epoch): Unit =
    // A val_loss that is not finite is None, too. It must not be replaced by the training loss, which is about other rows.
    epoch.valLoss.orElse(if (work.validates) None else epoch.loss)
      .filter(value => best.forall(value < _._1))
      .foreach(value => best = Some((value, epoch.epoch, work.weights())))

  private def reasonToStop(epoch: Epoch): Option[String] =
    // First, so that it also holds for the last epoch: weights that are not numbers must not be published.
    if (epoch.loss.isEmpty) Some("diverged")
    else if (epoch.epoch >= settings.epochs) None
    else if (settings.minLoss.exists(epoch.loss.get < _)) Some("min_loss")
    else if (settings.earlyStop && epoch.epoch - best.fold(0)(_._2) >= settings.earlyStopPatience) Some("early_stop")
    else if (settings.maxRuntime.exists(_ <= (System.nanoTime - started) / 1e9)) Some("max_runtime")
    else None

  /** The learning rate of the epoch's last iteration. Adadelta has none. */
  private def learningRate(iteration: Long): Option[Double] =
    // Computed here, since only DistriOptimizer puts the rate into its state. This is the formula of BigDL's optimizers.
    if (settings.optimizer == "adadelta") None
    else Some(settings.learningRate / (1 + (iteration - 1) * settings.learningRateDecay))
}

/** The rows and weights of a training, which the local and the distributed path access differently. */
trait EpochWork {
  def trainingRows: Long
  def validates: Boolean
  /** The scores of all training rows and, if there are any, of all validation rows. */
  def scores(): (Scores, Option[Scores])
  def weights(): Array[Float]
  /** Throws an exception if the task or its job was cancelled. */
  def checkInterrupted(): Unit
}
