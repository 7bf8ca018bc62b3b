package org.apache.spark.sql.hive.thriftserver

import java.util.concurrent.ConcurrentHashMap

import scala.collection.JavaConverters._
import scala.util.control.NonFatal

import org.apache.hive.service.cli.thrift.ThriftCLIService
import org.apache.spark.internal.Logging
import org.apache.spark.scheduler.{SparkListener, SparkListenerEvent}
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.hive.thriftserver.ui._
import org.apache.spark.sql.sqlext.{Errors, Hub, PythonProcess, SchedulerPools, SqlExtError}
import org.apache.spark.util.ShutdownHookManager

/**
 * The main class of `sqlext serve`: Spark's HiveThriftServer2, with a readiness line, a log line per statement, and an end that
 * tells clients why. All its settings are Spark's (`spark.hadoop.hive.server2.*`).
 *
 * It uses HiveThriftServer2.startWithContext (a DeveloperApi), the port number of Hive's ThriftCLIService, the events that the
 * server posts for its tab in the web UI, and Spark's ShutdownHookManager. It is in this package because of the events.
 */
object ThriftServer extends Logging {
  private val host = "hive.server2.thrift.bind.host"
  private val port = "hive.server2.thrift.port"
  /** Above the priority of Spark's own hooks, which stop the context. */
  private val beforeSpark = 1000
  private val secondsToEnd = 9

  def main(arguments: Array[String]): Unit = {
    val spark = try SparkSession.builder().enableHiveSupport().getOrCreate() catch {
      case NonFatal(e) => fail(rootOf(e))
    }
    val settings = spark.sparkContext.hadoopConfiguration
    try {
      // Starts Python, so that a wrong installation is noticed now and the first client need not wait.
      val ready = Hub.call(spark, "serverStarts", Map.empty)
      spark.sparkContext.addSparkListener(new StatementLog)
      SchedulerPools.start(spark)
      val server = HiveThriftServer2.startWithContext(spark.sqlContext)
      val listening = server.getServices.asScala.collectFirst { case s: ThriftCLIService => s.getPortNumber }.get
      val address = settings.get(host)
      val name = if (address.contains(":")) s"[$address]" else address
      println(s"ready: jdbc:hive2://$name:$listening/default (${ready.asText})")
      ShutdownHookManager.addShutdownHook(beforeSpark)(() => end(spark))
    } catch {
      case ours: SqlExtError => fail(ours)
      case NonFatal(e) =>
        val reason = rootOf(e).getMessage
        fail(Errors.runtime("SERVER_NOT_STARTED", "host" -> settings.get(host), "port" -> settings.get(port), "reason" -> reason))
    }
    Thread.currentThread.join() // SparkSubmit stops the context of some masters when the main method returns
  }

  private def fail(error: Throwable): Nothing = {
    logDebug("The server did not start", error)
    System.err.println(s"error: ${Option(error.getMessage).getOrElse(error.toString).linesIterator.next()}")
    sys.exit(1)
  }

  private def rootOf(error: Throwable): Throwable =
    Iterator.iterate(error)(_.getCause).takeWhile(_ != null).take(20).toSeq.last

  /** Cancels what runs, so that clients get the reason, and ends the process after some seconds in any state. */
  private def end(spark: SparkSession): Unit = {
    System.err.println("stopping")
    val deadline = new Thread(() => { Thread.sleep(secondsToEnd * 1000L); Runtime.getRuntime.halt(0) }, "sqlext-deadline")
    deadline.setDaemon(true)
    deadline.start()
    val context = spark.sparkContext
    if (!context.isStopped) {
      val running = context.statusTracker.getActiveJobIds()
      running.foreach(context.cancelJob(_, "because the server is shutting down"))
      PythonProcess.close()
      // The clients fetch the error with their next poll.
      if (running.nonEmpty) Thread.sleep(1500)
    }
  }
}

/** One line per statement: user, seconds, outcome. Errors of users are no faults of the server and may quote data: no text. */
private class StatementLog extends SparkListener with Logging {
  private case class Begun(user: String, statement: String, at: Long)
  private val running = new ConcurrentHashMap[String, Begun]()

  override def onOtherEvent(event: SparkListenerEvent): Unit = event match {
    case e: SparkListenerThriftServerOperationStart => running.put(e.id, Begun(e.userName, e.statement, e.startTime))
    case e: SparkListenerThriftServerOperationFinish => log(e.id, e.finishTime, "finished")
    case e: SparkListenerThriftServerOperationCanceled => log(e.id, e.finishTime, "cancelled")
    case e: SparkListenerThriftServerOperationTimeout => log(e.id, e.finishTime, "timed out")
    case e: SparkListenerThriftServerOperationError => log(e.id, e.finishTime, s"failed: ${classOf(e.errorMsg)}")
    case _ =>
  }

  private def log(id: String, finished: Long, outcome: String): Unit = Option(running.remove(id)).foreach { s =>
    logInfo(f"${s.user}: ${firstWords(s.statement)}, ${(finished - s.at) / 1000.0}%.1f s, $outcome")
  }

  /** What kind of statement it is; the rest may contain data or secrets. */
  private def firstWords(statement: String): String =
    statement.trim.split("\\s+").take(2).filter(_.matches("[A-Za-z]+")).mkString(" ").toUpperCase

  private def classOf(message: String): String =
    "\\[([A-Z][A-Z0-9_.]*)\\]".r.findFirstMatchIn(Option(message).getOrElse("")).map(_.group(1)).getOrElse("error")
}
