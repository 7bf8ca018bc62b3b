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

/** Implemented by sqlext/bridge.py over Py4J. One method, JSON in, JSON out: it stays as the language grows. */
trait PythonBackend {

  /** Answers `{"ok": ..}` or `{"error": ..}` (Errors.of); refuses, before anything else, a call without the secret. */
  def call(secret: String, session: SparkSession, method: String, request: String): String
}

/** Where the JVM and Python meet: one backend per driver, and the Python functions it has made. */
object Hub {
  private case class Attached(backend: PythonBackend, secret: String)

  private val attached = new AtomicReference[Attached]()
  private val udfs = new ConcurrentHashMap[String, UserDefinedPythonFunction]()

  // Python writes NaN and Infinity.
  val json: ObjectMapper = new ObjectMapper().registerModule(DefaultScalaModule)
    .enable(JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS.mappedFeature)

  /** Called through PySpark's authenticated gateway; the answer is the secret that every callback then carries. */
  def attach(backend: PythonBackend): String = {
    val bytes = new Array[Byte](32)
    new SecureRandom().nextBytes(bytes)
    val secret = Base64.getEncoder.encodeToString(bytes)
    udfs.clear() // their broadcasts belong to the SparkContext of the backend before
    attached.set(Attached(backend, secret))
    secret
  }

  def detach(): Unit = attached.set(null)
  def isAttached: Boolean = attached.get != null

  def languageDigest: String = Language.digest

  def registerUdf(key: String, function: UserDefinedPythonFunction): Unit = udfs.put(key, function)
  def hasUdf(key: String): Boolean = udfs.containsKey(key)
  def udf(key: String): UserDefinedPythonFunction = Option(udfs.get(key)).getOrElse(
    throw new SqlExtRuntimeException(s"bigdl-sqlext: Python bound a function to '$key', which it has not registered."))

  /** A scoring step over columns of a DataFrame, with the guarantees of a call in SQL: each row once, bounded batches. */
  def scored(key: String, arguments: Seq[Column]): Column = new Column(Scoring.call(key, udf(key), arguments.map(_.expr)))

  /** One round trip; `sql` is what an error's position counts in. Never retried: a statement must not run twice. */
  def call(session: SparkSession, method: String, request: Map[String, Any], sql: String = ""): JsonNode = {
    val Attached(backend, secret) = Option(attached.get).getOrElse(throw Errors.analysis("NO_PYTHON_BACKEND"))
    val answer = try json.readTree(backend.call(secret, session, method, json.writeValueAsString(request))) catch {
      case e: py4j.Py4JException => throw new SqlExtRuntimeException(
        s"bigdl-sqlext: the Python side did not answer '$method': ${lastLine(e.getMessage)}")
    }
    if (answer.hasNonNull("error")) throw Errors.of(answer.get("error"), sql)
    answer.get("ok")
  }

  private def lastLine(text: String): String =
    Option(text).getOrElse("").trim.linesIterator.toSeq.lastOption.getOrElse("")
}
