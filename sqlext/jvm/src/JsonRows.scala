package org.apache.spark.sql.sqlext

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{JsonToStructs, Literal}
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types.{ArrayType, StructType}

/** Converts Python's rows (a JSON array of objects) to typed columns. */
object JsonRows {
  def kind(columns: StructType): ArrayType = ArrayType(columns.asNullable)

  /** Evaluates from_json directly: it supports every type that DDL can name, and no Spark job is needed. */
  def decode(rows: JsonNode, columns: StructType, timeZone: String): ArrayData =
    // In the default mode, from_json would turn a value of a wrong type into NULL. FAILFAST makes such a bug visible.
    JsonToStructs(kind(columns), Map("mode" -> "FAILFAST"), Literal(rows.toString), Some(timeZone))
      .eval(InternalRow.empty).asInstanceOf[ArrayData]
}
