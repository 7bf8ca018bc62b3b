package org.apache.spark.sql.sqlext

import java.io.{IOException, InterruptedIOException}
import java.nio.channels.ClosedByInterruptException

import scala.collection.JavaConverters._
import scala.util.Try

import org.apache.commons.io.IOUtils
import org.apache.hadoop.conf.Configuration
import org.apache.hadoop.fs.Path
import org.apache.spark.SparkContext
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult
import org.apache.spark.sql.catalyst.expressions.{Expression, ImplicitCastInputTypes, UnaryExpression}
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenFallback
import org.apache.spark.sql.types.{AbstractDataType, BinaryType, DataType, StringType}
import org.apache.spark.unsafe.types.UTF8String
import org.apache.spark.util.SerializableConfiguration

/**
 * `read_image(path)`: the bytes of a file, read on the executor that has the row. NULL if the file is missing or cannot be
 * read; a path outside the folders of `spark.sqlext.allowedPaths` ends the query (RowErrors).
 */
case class ReadImage(child: Expression, files: AllowedFiles)
  extends UnaryExpression with ImplicitCastInputTypes with CodegenFallback {

  def this(path: Expression) = this(path, AllowedFiles.ofSession())

  override def inputTypes: Seq[AbstractDataType] = Seq(StringType)
  override def dataType: DataType = BinaryType
  override def nullable: Boolean = true
  override def foldable: Boolean = false // otherwise the driver would read the file during planning
  override def prettyName: String = "read_image"

  /** Refuses a constant path that is not allowed before anything runs. */
  override def checkInputDataTypes(): TypeCheckResult = {
    val checked = super.checkInputDataTypes()
    if (checked.isSuccess && child.foldable) {
      // If the path cannot be resolved now, the check of the row refuses it later: read() never opens a file unchecked.
      val refused = Try(Option(child.eval()).flatMap(p => files.refusal(p.toString))).toOption.flatten
      refused.foreach(why => throw Errors.analysis("PATH_NOT_ALLOWED", why: _*))
    }
    checked
  }

  override protected def stringArgs: Iterator[Any] = Iterator(child)
  override protected def nullSafeEval(path: Any): Any = files.read(path.asInstanceOf[UTF8String].toString)
  override protected def withNewChildInternal(path: Expression): ReadImage = copy(child = path)
}

/** Files below `folders` (None: all), with the Hadoop settings of the session that runs the query. */
case class AllowedFiles(folders: Option[Seq[String]])(settings: Broadcast[SerializableConfiguration]) {
  def read(text: String): Array[Byte] = try {
    refusal(text).foreach(why => throw Errors.runtime("PATH_NOT_ALLOWED", why: _*))
    val path = located(text)
    val in = path.getFileSystem(settings.value.value).open(path)
    try IOUtils.toByteArray(in) finally in.close()
  } catch {
    case e @ (_: InterruptedIOException | _: ClosedByInterruptException) => throw e // the task was cancelled
    case _: IOException | _: IllegalArgumentException | _: UnsupportedOperationException => null
  }

  /** The values of the error if the file may not be read, else None. */
  def refusal(text: String): Option[Seq[(String, String)]] = folders.filterNot { allowed =>
    val wanted = AllowedFiles.text(located(text))
    // With the slash: /data does not allow /database.
    allowed.exists(folder => wanted == folder || wanted.startsWith(folder + "/"))
  }.map(allowed => Seq("path" -> text, "allowed" -> (if (allowed.isEmpty) "none" else allowed.mkString(", "))))

  /** The normalised path, without any '..' that could lead out of a folder. */
  private def located(text: String): Path = AllowedFiles.located(new Path(text), settings.value.value)
}

object AllowedFiles {
  private var last: Option[(SparkContext, Set[(String, String)], Broadcast[SerializableConfiguration])] = None

  def ofSession(): AllowedFiles = {
    val session = SparkSession.active
    val conf = session.sessionState.newHadoopConf()
    val folders = session.conf.getOption(Settings.prefix + "allowedPaths").map(_.split(",").map(_.trim)
      .filter(_.nonEmpty).map(f => folder(new Path(f), conf)).toSeq)
    // The broadcast is in a second parameter list, which a case class does not compare: two analyses of a query stay equal.
    AllowedFiles(folders)(broadcast(session.sparkContext, conf))
  }

  /** Falls back to the path as written, since a file system that cannot be reached must not affect the other folders. */
  private def folder(path: Path, conf: Configuration): String =
    text(Try(located(path, conf)).getOrElse(path)).stripSuffix("/")

  def located(path: Path, conf: Configuration): Path =
    new Path(path.getFileSystem(conf).makeQualified(path).toUri.normalize())

  /** The same text for the same path: normalize() returns `file:/a`, other methods `file:///a`. */
  def text(path: Path): String = {
    val uri = path.toUri
    s"${uri.getScheme}:${Option(uri.getAuthority).map("//" + _).getOrElse("")}${uri.getPath}"
  }

  /** Queries with the same settings share one broadcast. */
  private def broadcast(context: SparkContext, conf: Configuration): Broadcast[SerializableConfiguration] =
    synchronized {
      val settings = conf.iterator().asScala.map(e => e.getKey -> e.getValue).toSet
      last.collect { case (c, s, known) if (c eq context) && s == settings => known }.getOrElse {
        val created = context.broadcast(new SerializableConfiguration(conf))
        last = Some((context, settings, created))
        created
      }
    }
}
