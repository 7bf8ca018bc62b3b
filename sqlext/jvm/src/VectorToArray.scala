package org.apache.spark.sql.sqlext

import org.apache.spark.ml.linalg.{VectorUDT => MlVector}
import org.apache.spark.mllib.linalg.{VectorUDT => MllibVector}
import org.apache.spark.sql.catalyst.analysis.TypeCheckResult
import org.apache.spark.sql.catalyst.expressions.{Expression, UnaryExpression}
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenFallback
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types.{ArrayType, DataType, DoubleType}

/** An ML vector, dense or sparse, as ARRAY<DOUBLE>. Spark 3.4 has this only for DataFrames (`vector_to_array`). */
case class VectorToArray(child: Expression) extends UnaryExpression with CodegenFallback {
  override def dataType: DataType = ArrayType(DoubleType, containsNull = false)
  override def prettyName: String = "sqlext_vector_to_array"

  override def checkInputDataTypes(): TypeCheckResult = child.dataType match {
    case _: MlVector | _: MllibVector => TypeCheckResult.TypeCheckSuccess
    case other => TypeCheckResult.TypeCheckFailure(s"$prettyName takes a vector, not ${other.simpleString}")
  }

  override protected def nullSafeEval(value: Any): Any = {
    val values = child.dataType match {
      case udt: MlVector => udt.deserialize(value).toArray
      case udt: MllibVector => udt.deserialize(value).toArray
    }
    ArrayData.toArrayData(values)
  }

  override protected def withNewChildInternal(vector: Expression): VectorToArray = copy(vector)
}
