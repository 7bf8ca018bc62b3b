package org.apache.spark.sql.sqlext

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{JsonToStructs, Literal}
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types.{ArrayType, StructType}

/** Python's rows (a JSON array of objects) in typed columns. */
object JsonRows {
  def kind(columns: StructType): ArrayType = ArrayType(columns.asNullable)

  /** from_json evaluated in place: every type that DDL can name, and no Spark job. */
  def decode(rows: JsonNode, columns: StructType, timeZone: String): ArrayData =
    JsonToStructs(kind(columns), Map("mode" -> "FAILFAST"), Literal(rows.toString), Some(timeZone))
      .eval(InternalRow.empty).asInstanceOf[ArrayData]
}
