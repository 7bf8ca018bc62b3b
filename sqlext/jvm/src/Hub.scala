package org.apache.spark.sql.sqlext

import java.security.SecureRandom
import java.util.Base64
import java.util.concurrent.ConcurrentHashMap
import java.util.concurrent.atomic.AtomicReference

import com.fasterxml.jackson.core.json.JsonReadFeature
import com.fasterxml.jackson.databind.{JsonNode, ObjectMapper}
import com.fasterxml.jackson.module.scala.DefaultScalaModule
import org.apache.spark.sql.{Column, SparkSession}
import org.apache.spark.sql.execution.python.UserDefinedPythonFunction

/** Implemented by sqlext/bridge.py over Py4J. One method takes and returns JSON, so it need not change with the language. */
trait PythonBackend {

  /** Returns `{"ok": ..}` or `{"error": ..}` (Errors.of). Before anything else it refuses a call without the secret. */
  def call(secret: String, session: SparkSession, method: String, request: String): String
}

/** Connects the JVM and Python: one backend per driver, and the Python functions that it has registered. */
object Hub {
  private case class Attached(backend: PythonBackend, secret: String)

  // One reference for both, so that no call combines a backend with the secret of another one.
  private val attached = new AtomicReference[Attached]()
  private val udfs = new ConcurrentHashMap[String, UserDefinedPythonFunction]()

  // Python's JSON contains NaN and Infinity.
  val json: ObjectMapper = new ObjectMapper().registerModule(DefaultScalaModule)
    .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS.mappedFeature)

  /** Called through PySpark's authenticated gateway. Returns the secret that every callback must then carry. */
  def attach(backend: PythonBackend): String = {
    val bytes = new Array[Byte](32)
    new SecureRandom().nextBytes(bytes)
    val secret = Base64.getEncoder.encodeToString(bytes)
    udfs.clear() // their broadcasts belong to the SparkContext of the previous backend
    attached.set(Attached(backend, secret))
    secret
  }

  /** What is attached now, for `detach`. */
  def attachment: AnyRef = attached.get

  /** Forgets a backend that has ended, and the functions bound to it, unless another one is attached by now. */
  def detach(ended: AnyRef): Unit = if (ended != null && attached.compareAndSet(ended.asInstanceOf[Attached], null)) udfs.clear()

  def isAttached: Boolean = attached.get != null

  /** Whether statements and functions can be carried out: Python is attached, or can be started. */
  def isAvailable(session: SparkSession): Boolean = isAttached || PythonProcess.python(session.sparkContext).nonEmpty

  def languageDigest: String = Language.digest

  def registerUdf(key: String, function: UserDefinedPythonFunction): Unit = udfs.put(key, function)
  def hasUdf(key: String): Boolean = udfs.containsKey(key)
  def udf(key: String): UserDefinedPythonFunction = Option(udfs.get(key)).getOrElse(
    throw new SqlExtRuntimeException(s"bigdl-sqlext: Python bound a function to '$key', which it has not registered."))

  /** A scoring step on DataFrame columns, with the guarantees of a call in SQL: each row is scored once, in bounded batches. */
  def scored(key: String, arguments: Seq[Column]): Column = new Column(Scoring.call(key, udf(key), arguments.map(_.expr)))

  /**
   * One round trip to Python; the position of an error refers to `sql`. Never retried: a statement must not run twice.
   *
   * @param session null for reports of a training, which no session sends
   */
  def call(session: SparkSession, method: String, request: Map[String, Any], sql: String = ""): JsonNode = {
    val Attached(backend, secret) = attachedTo(session)
    val text = json.writeValueAsString(request)
    val answer = try json.readTree(PythonProcess.marked(session) {
      Callbacks.during(backend.call(secret, session, method, text))
    }) catch {
      case _: py4j.Py4JException if PythonProcess.isClosing => throw Errors.runtime("SERVER_STOPS")
      case e: py4j.Py4JException if hasLostConnection(e) => throw Errors.runtime("BACKEND_LOST")
      case e: py4j.Py4JException => throw new SqlExtRuntimeException(
        s"bigdl-sqlext: the Python process did not answer '$method': ${lastLine(e.getMessage)}")
    }
    if (answer.hasNonNull("error")) throw Errors.of(answer.get("error"), sql)
    answer.get("ok")
  }

  private def attachedTo(session: SparkSession): Attached = Option(attached.get).getOrElse {
    // Without a session: a training reports an epoch to a backend that has ended.
    Option(session).foreach(PythonProcess.start)
    Option(attached.get).getOrElse(throw Errors.runtime("BACKEND_LOST"))
  }

  /** Py4J wraps the error of the connection if it occurs while a proxy is called. */
  private def hasLostConnection(error: Throwable): Boolean =
    Iterator.iterate(error)(_.getCause).takeWhile(_ != null).take(20).exists(_.isInstanceOf[py4j.Py4JNetworkException])

  private def lastLine(text: String): String =
    Option(text).getOrElse("").trim.linesIterator.toSeq.lastOption.getOrElse("")
}
