package org.apache.spark.sql.sqlext

import java.io.{BufferedReader, InputStreamReader}
import java.net.InetAddress
import java.nio.charset.StandardCharsets.UTF_8
import java.util.concurrent.{ConcurrentHashMap, CountDownLatch}
import java.util.concurrent.TimeUnit.SECONDS
import java.util.concurrent.atomic.AtomicBoolean

import scala.collection.JavaConverters._
import scala.util.control.NonFatal

import org.apache.spark.SparkContext
import org.apache.spark.api.java.JavaSparkContext
import org.apache.spark.api.python.PythonAccumulatorV2
import org.apache.spark.internal.Logging
import org.apache.spark.scheduler.{SparkListener, SparkListenerApplicationEnd, SparkListenerJobEnd, SparkListenerJobStart}
import org.apache.spark.sql.SparkSession
import org.apache.spark.util.{AccumulatorV2, Utils}
import py4j.ClientServer

/**
 * The Python backend of a driver that no Python process controls: spark-sql, HiveThriftServer2, a program in Scala or Java, and
 * `sqlext serve`. The first statement or function that needs it starts it, also after it has ended.
 *
 * As in Spark's PythonRunner, Python connects to a Py4J gateway of this JVM (sqlext/backend.py). Python ends with this JVM,
 * because its standard input is then closed.
 */
object PythonProcess extends Logging {
  /** The setting that names the Python in which bigdl-sqlext is installed. */
  val setting: String = s"${Settings.prefix}python"
  private val backendOfJob = "sqlext.backend"
  private val startSeconds = 120

  @volatile private var current: Option[Backend] = None
  @volatile private var closing = false
  private var count = 0

  def python(context: SparkContext): Option[String] = context.getConf.getOption(setting).filter(_.nonEmpty)

  /** Whether the server is being shut down: clients get this reason, and no backend is started. */
  def isClosing: Boolean = closing

  /** Starts a backend unless one is attached, and returns when it is attached. */
  def start(session: SparkSession): Unit = synchronized {
    if (closing) throw Errors.runtime("SERVER_STOPS")
    if (!Hub.isAttached) {
      val program = python(session.sparkContext).getOrElse(throw Errors.analysis("NO_PYTHON_BACKEND"))
      count += 1
      val backend = new Backend(count, program, session)
      current = Some(backend)
      try backend.start() catch { case NonFatal(e) => backend.end(); throw e }
    }
  }

  /** Runs a call of Python. The jobs that it starts are marked, so that they can be cancelled when the backend ends. */
  def marked[T](session: SparkSession)(call: => T): T = (Option(session), current) match {
    case (Some(caller), Some(backend)) =>
      val context = caller.sparkContext
      val before = context.getLocalProperty(backendOfJob)
      context.setLocalProperty(backendOfJob, backend.number.toString)
      try call finally context.setLocalProperty(backendOfJob, before)
    case _ => call
  }

  /** Whether this thread runs a part of one of our statements. */
  def isMarked(context: SparkContext): Boolean = context.getLocalProperty(backendOfJob) != null

  /** Ends the backend for good, as the server is being shut down. */
  def close(): Unit = {
    closing = true
    current.foreach(_.end())
  }

  // What Python asks for while it starts (sqlext/backend.py).
  private def starting: Backend = current.getOrElse(throw new IllegalStateException("no backend is being started"))
  def javaContext: JavaSparkContext = new JavaSparkContext(starting.session.sparkContext)
  def session: SparkSession = starting.session
  /** Whether an earlier backend of this application has ended, whose runs may need to be closed. */
  def isRestart: Boolean = starting.number > 1
  /** Called by Python when it is attached. */
  def ready(): Unit = starting.isReady()

  /** One process and its gateway. `number` marks the jobs of its statements. */
  private class Backend(val number: Int, program: String, val session: SparkSession) extends SparkListener {
    val attached = new CountDownLatch(1)
    private val context = session.sparkContext
    private val gatewaySecret = Utils.createSecret(context.getConf)
    private val gateway = new ClientServer.ClientServerBuilder().authToken(gatewaySecret).javaPort(0)
      .javaAddress(InetAddress.getLoopbackAddress).build()
    private val jobs = ConcurrentHashMap.newKeySet[Int]()
    private val hasEnded = new AtomicBoolean(false)
    @volatile private var process: Option[Process] = None
    @volatile private var lastLine = ""

    @volatile private var attachment: AnyRef = _

    def isReady(): Unit = {
      attachment = Hub.attachment
      attached.countDown()
    }

    def start(): Unit = {
      // The gateway's threads are daemons like the thread that starts it, so that they do not prevent the JVM from ending.
      inBackground("gateway")(gateway.startServer()).join()
      val begun = try builder.start() catch { case NonFatal(e) => throw notStarted(e.getMessage) }
      process = Some(begun)
      context.addSparkListener(this)
      val output = inBackground("output")(copyOutput(begun))
      inBackground("watcher") {
        val status = begun.waitFor()
        output.join(1000)
        logInfo(s"The Python process of bigdl-sqlext has ended with status $status. $lastLine")
        end()
      }
      if (!attached.await(startSeconds, SECONDS)) throw notStarted(s"it was not ready after $startSeconds s. $lastLine")
      if (hasEnded.get) throw notStarted(lastLine)
    }

    private def builder: ProcessBuilder = {
      val builder = new ProcessBuilder(program, "-m", "sqlext.backend").redirectErrorStream(true)
      val environment = builder.environment()
      environment.putAll(Map(
        "PYSPARK_GATEWAY_PORT" -> gateway.getJavaServer.getListeningPort.toString,
        "PYSPARK_GATEWAY_SECRET" -> gatewaySecret,
        "PYSPARK_PIN_THREAD" -> "true",
        "PYTHONUNBUFFERED" -> "true").asJava)
      // Workers would otherwise run the python3 of PATH, which may lack this package.
      environment.putIfAbsent("PYSPARK_PYTHON", context.getConf.get("spark.pyspark.python", program))
      builder
    }

    private def notStarted(reason: String) = Errors.runtime("BACKEND_NOT_STARTED", "python" -> program, "reason" -> reason)

    /** To standard error, since the standard output of spark-sql is the result of a query. */
    private def copyOutput(process: Process): Unit = {
      val lines = new BufferedReader(new InputStreamReader(process.getInputStream, UTF_8))
      Iterator.continually(lines.readLine()).takeWhile(_ != null).foreach { line =>
        if (line.trim.nonEmpty) lastLine = line.trim
        System.err.println(line)
      }
    }

    /** After the process has ended, or in order to end it: nothing that is bound to it is used again. */
    def end(): Unit = if (hasEnded.compareAndSet(false, true)) {
      // If it ended between attaching and isReady(), what is attached is still this backend: start() runs alone.
      Hub.detach(if (attached.getCount > 0) Hub.attachment else attachment)
      process.foreach(_.destroy())
      jobs.asScala.foreach(cancel)
      gateway.shutdown()
      attached.countDown() // whoever waits for the start sees that it has ended
    }

    override def onJobStart(job: SparkListenerJobStart): Unit =
      if (Option(job.properties).map(_.getProperty(backendOfJob)).contains(number.toString)) {
        jobs.add(job.jobId)
        // The listener may hear of the job only after the backend has ended.
        if (hasEnded.get) cancel(job.jobId)
      }

    override def onJobEnd(job: SparkListenerJobEnd): Unit = jobs.remove(job.jobId)
    override def onApplicationEnd(end: SparkListenerApplicationEnd): Unit = this.end()

    private def cancel(job: Int): Unit = if (!context.isStopped) context.cancelJob(job, "because its Python process has ended")

    private def inBackground(name: String)(work: => Unit): Thread = {
      val thread = new Thread(() => Utils.logUncaughtExceptions(work), s"sqlext-backend-$name")
      thread.setDaemon(true)
      thread.start()
      thread
    }
  }
}

/** For UDFs: does not send updates to Python. Our UDFs have none, and Spark would connect after every task. */
class UnsentUpdates extends PythonAccumulatorV2("localhost", 0, "") {
  override def merge(other: AccumulatorV2[Array[Byte], java.util.List[Array[Byte]]]): Unit = ()
}
