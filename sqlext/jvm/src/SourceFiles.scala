package org.apache.spark.sql.sqlext

import org.apache.hadoop.fs.{LocatedFileStatus, Path, RemoteIterator}
import org.apache.spark.sql.DataFrame
import org.apache.spark.sql.catalyst.catalog.{CatalogTable, HiveTableRelation}
import org.apache.spark.sql.execution.datasources.{HadoopFsRelation, LogicalRelation}
import org.json4s.{DefaultFormats, Extraction, Formats}
import org.json4s.jackson.JsonMethods

/** A table or folder that a query reads. `latestModification` is in milliseconds since 1970, None without files. */
case class SourceFiles(table: Option[String], location: String, files: Long, bytes: Long, latestModification: Option[Long])

/** Describes the files that a DataFrame reads, which is recorded with a model to document what it was trained on. */
object SourceFiles {
  private implicit val formats: Formats = DefaultFormats
  private val most = 100000L // files counted per table; above this, the numbers are lower bounds

  def json(rows: DataFrame): String = {
    val conf = rows.sparkSession.sessionState.newHadoopConf()
    val found = rows.queryExecution.analyzed.collectLeaves().flatMap {
      case LogicalRelation(relation: HadoopFsRelation, _, table, _) =>
        relation.location.rootPaths.headOption.map(root => read(table, table.fold(root.toString)(_.location.toString), () => {
          relation.location.listFiles(Nil, Nil).iterator.flatMap(_.files).map(f => (f.getLen, f.getModificationTime))
        }))
      case relation: HiveTableRelation =>
        val table = relation.tableMeta
        Some(read(Some(table), table.location.toString, () => {
          val path = new Path(table.location)
          statuses(path.getFileSystem(conf).listFiles(path, true)).map(f => (f.getLen, f.getModificationTime))
        }))
      case _ => None
    }
    JsonMethods.compact(Extraction.decompose(found.distinct).snakizeKeys)
  }

  private def read(table: Option[CatalogTable], location: String, list: () => Iterator[(Long, Long)]): SourceFiles = {
    val files = list().take(most.toInt).toSeq
    SourceFiles(table.map(_.identifier.unquotedString.stripPrefix("spark_catalog.")), location, files.length,
      files.map(_._1).sum, if (files.isEmpty) None else Some(files.map(_._2).max))
  }

  private def statuses(files: RemoteIterator[LocatedFileStatus]): Iterator[LocatedFileStatus] = new Iterator[LocatedFileStatus] {
    override def hasNext: Boolean = files.hasNext
    override def next(): LocatedFileStatus = files.next()
  }
}
