package org.apache.spark.sql.sqlext

import scala.collection.JavaConverters._

import com.fasterxml.jackson.databind.JsonNode

/** META-INF/sqlext/language.json, written from the Python lists when the jar is built. */
object Language {
  case class Function(
      name: String, signature: String, usage: String, arguments: String, examples: String, native: Option[String]) {
    /** Names of the parameters; empty without a signature, as for functions that only bindings call. */
    lazy val parameters: Seq[String] =
      signature.dropWhile(_ != '(').stripPrefix("(").stripSuffix(")").split(",").map(_.trim).filter(_.nonEmpty).toList
  }
  case class TableFunction(name: String, schema: String, usage: String, arguments: String, examples: String)
  case class Setting(name: String, kind: String, default: Option[String], static: Boolean, doc: String)

  private lazy val root: JsonNode = {
    val in = getClass.getResourceAsStream("/META-INF/sqlext/language.json")
    try Hub.json.readTree(in) finally in.close()
  }

  lazy val version: String = root.get("version").asText
  lazy val digest: String = root.get("digest").asText

  /** The first words of our statements in upper case, and every prefix of these. */
  lazy val heads: Set[Seq[String]] = items("heads").map(_.elements().asScala.map(_.asText).toList).toSet
  lazy val beginnings: Set[Seq[String]] = heads.flatMap(_.inits)

  /** If a text that Spark rejects starts with the first or contains any of the second, Python is asked about it. */
  lazy val nearMissFirst: Set[String] = nearMisses("first")
  lazy val nearMissInside: Set[String] = nearMisses("inside")
  private def nearMisses(key: String) =
    root.get("near_misses").get(key).elements().asScala.map(_.asText).toSet

  /** Invisible characters that Java does not count as white space. */
  lazy val zeroWidth: Set[Int] = root.get("zero_width").asText.codePoints().toArray.toSet

  lazy val functions: Seq[Function] = items("functions").map(f =>
    Function(text(f, "name"), text(f, "signature"), text(f, "usage"), text(f, "arguments"), text(f, "examples"), option(f, "native")))

  /** `schema` is the DDL of the columns. */
  lazy val tableFunctions: Seq[TableFunction] = items("table_functions").map(f => TableFunction(
    text(f, "name"), text(f, "schema"), text(f, "usage"), text(f, "arguments"), text(f, "examples")))

  lazy val settings: Seq[Setting] = items("settings").map(s =>
    Setting(text(s, "name"), text(s, "type"), option(s, "default"), s.get("static").asBoolean, text(s, "doc")))

  /** SQLSTATE and template of the error classes that the shim itself raises. */
  lazy val errors: Map[String, (String, String)] = root.get("errors").fields().asScala
    .map(e => e.getKey -> ((e.getValue.get(0).asText, e.getValue.get(1).asText))).toMap

  private def items(key: String): Seq[JsonNode] = root.get(key).elements().asScala.toList
  private def text(node: JsonNode, key: String): String = option(node, key).getOrElse("")
  private def option(node: JsonNode, key: String): Option[String] =
    Option(node.get(key)).filterNot(_.isNull).map(_.asText)
}
