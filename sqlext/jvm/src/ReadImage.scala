package org.apache.spark.sql.sqlext

import java.io.{FileNotFoundException, IOException, InterruptedIOException}
import java.net.URI
import java.nio.channels.ClosedByInterruptException
import java.nio.charset.StandardCharsets.UTF_8

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
 *
 * @param namesMissing in place of NULL: bytes from which Python makes a reason that names the file (images/decode.py). Only for
 *   a call that is itself the argument of one of our functions, where no user sees the bytes.
 */
case class ReadImage(child: Expression, files: AllowedFiles, namesMissing: Boolean = false)
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
      refused.foreach(why => throw Errors.analysis("PATH_NOT_ALLOWED", why: _*).withPosition(child.origin))
    }
    checked
  }

  override protected def stringArgs: Iterator[Any] = Iterator(child)
  override protected def nullSafeEval(path: Any): Any = {
    val text = path.asInstanceOf[UTF8String].toString
    val bytes = files.read(text)
    if (bytes == null && namesMissing) (ReadImage.noFile + files.lookedUp(text)).getBytes(UTF_8) else bytes
  }

  override protected def withNewChildInternal(path: Expression): ReadImage = copy(child = path)
}

object ReadImage {
  // images/decode.py has the same text.
  private val noFile = "\u0000sqlext:no file\u0000"
}

/** Files below `folders` (None: all), with the Hadoop settings of the session that runs the query. */
case class AllowedFiles(folders: Option[Seq[String]])(settings: Broadcast[SerializableConfiguration]) {
  def read(text: String): Array[Byte] = try {
    refusal(text).foreach(why => throw Errors.runtime("PATH_NOT_ALLOWED", why: _*))
    readings(text).iterator.filter(isAllowed).map(bytes).collectFirst { case Some(found) => found }.orNull
  } catch {
    case e @ (_: InterruptedIOException | _: ClosedByInterruptException) => throw e // the task was cancelled
    case _: IOException | _: IllegalArgumentException | _: UnsupportedOperationException => null
  }

  /** The values of the error if the file may not be read, else None. */
  def refusal(text: String): Option[Seq[(String, String)]] = folders.filterNot(_ => readings(text).exists(isAllowed))
    .map(allowed => Seq("path" -> text, "allowed" -> (if (allowed.isEmpty) "none" else allowed.mkString(", "))))

  /** The files that `text` may mean, for a reason. */
  def lookedUp(text: String): String = Try(readings(text).map(AllowedFiles.text).mkString(" and ")).getOrElse(text)

  /**
   * The paths that a text may mean: first the text as it is written, then the text as a URI, which `_metadata.file_path` and
   * input_file_name() return. They are normalised, so that no '..' leads out of a folder after the check.
   */
  private def readings(text: String): Seq[Path] =
    (new Path(text) +: AllowedFiles.decoded(text).toSeq).map(AllowedFiles.located(_, settings.value.value))

  private def isAllowed(path: Path): Boolean = folders.forall { allowed =>
    val wanted = AllowedFiles.text(path)
    // With the slash: /data does not allow /database.
    !wanted.split("/").contains("..") && allowed.exists(folder => wanted == folder || wanted.startsWith(folder + "/"))
  }

  private def bytes(path: Path): Option[Array[Byte]] = try {
    val in = path.getFileSystem(settings.value.value).open(path)
    try Some(IOUtils.toByteArray(in)) finally in.close()
  } catch {
    case _: FileNotFoundException => None
  }
}

object AllowedFiles {
  private var last: Option[(SparkContext, Set[(String, String)], Broadcast[SerializableConfiguration])] = None

  def ofSession(): AllowedFiles = {
    val session = SparkSession.active
    val conf = session.sessionState.newHadoopConf()
    val folders = session.conf.getOption(Settings.prefix + "allowedPaths").map(listed(_).map(f => folder(new Path(f), conf)))
    // The broadcast is in a second parameter list, which a case class does not compare: two analyses of a query stay equal.
    AllowedFiles(folders)(broadcast(session.sparkContext, conf))
  }

  /** As listed_folders in spark/local_files.py: a comma that belongs to a name is written with a backslash. */
  private def listed(text: String): Seq[String] =
    text.split("(?<!\\\\),").map(_.trim.replace("\\,", ",")).filter(_.nonEmpty).toSeq

  /** The path of a percent-encoded URI; None for a text that is not one. */
  def decoded(text: String): Option[Path] = if (!text.contains("%")) None else Try(new URI(text)).toOption
    .filter(u => u.getRawPath != null && u.getRawQuery == null && u.getRawFragment == null)
    // Not new Path(u), which keeps an encoded slash: '..%2f' would pass the check and then lead out of the folder.
    .map(u => new Path(u.getScheme, u.getAuthority, u.getPath))

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
