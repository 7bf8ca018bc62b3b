package org.apache.spark.sql.sqlext

import org.apache.spark.TaskContext
import org.apache.spark.broadcast.Broadcast
import org.apache.spark.sql.catalyst.InternalRow
import org.apache.spark.sql.catalyst.expressions.{Expression, InheritAnalysisRules, RuntimeReplaceable, UnaryExpression}
import org.apache.spark.sql.catalyst.expressions.codegen.CodegenFallback
import org.apache.spark.sql.catalyst.expressions.{ImplicitCastInputTypes, NullIntolerant}
import org.apache.spark.sql.catalyst.util.{ArrayData, GenericArrayData}
import org.apache.spark.sql.types.{AbstractDataType, ArrayType, DataType, FloatType}

// No class in this file has BigDL's classes in its fields or methods: Spark inspects them by reflection, even without BigDL's jar.

/** `sqlext_bigdl_forward('<key>', ARRAY<FLOAT>)`: the output of the chain of BigDL modules registered under the key. */
case class BigDLForward(key: Expression, features: Expression, replacement: Expression)
  extends RuntimeReplaceable with InheritAnalysisRules {
  // Spark's function registry looks for a constructor that takes exactly the arguments of the call.
  def this(key: Expression, features: Expression) = this(key, features, BigDLForward.call(key, features))
  override def parameters: Seq[Expression] = Seq(key, features)
  override def prettyName: String = "sqlext_bigdl_forward"
  override protected def withNewChildInternal(child: Expression): BigDLForward = copy(replacement = child)
}

object BigDLForward {
  private def call(key: Expression, features: Expression): Expression = {
    if (!key.foldable) throw Errors.analysis("INVALID_ARGUMENTS",
      "signature" -> "sqlext_bigdl_forward(key, features)",
      "problem" -> "needs key as a constant string")
    val name = String.valueOf(key.eval())
    BigDLModuleCall(features, name, BigDLModels.broadcast(name))
  }
}

/** One forward pass per row inside the executor's JVM, with modules from a broadcast. NULL for a NULL array or element. */
case class BigDLModuleCall(child: Expression, key: String, modules: Broadcast[Seq[BigDLModuleFiles]])
  extends UnaryExpression with ImplicitCastInputTypes with CodegenFallback with NullIntolerant {
  override def inputTypes: Seq[AbstractDataType] = Seq(ArrayType(FloatType))
  override def dataType: DataType = ArrayType(FloatType, containsNull = false)
  override def nullable: Boolean = true
  override def prettyName: String = "sqlext_bigdl_forward"
  override def toString: String = s"$prettyName($key, $child)"

  // Each task deserializes the expression, so each borrows separate modules, which it gives back when it ends.
  @transient private lazy val run: Array[Float] => Array[Float] = {
    val chain = BigDLModels.loaded(modules)
    val borrowed = chain.borrow()
    Option(TaskContext.get).foreach(_.addTaskCompletionListener[Unit](_ => chain.giveBack(borrowed)))
    chain.forward(borrowed, _)
  }

  override def eval(row: InternalRow): Any = {
    val features = child.eval(row).asInstanceOf[ArrayData]
    if (features == null || hasNull(features)) null else new GenericArrayData(run(features.toFloatArray()))
  }

  private def hasNull(values: ArrayData): Boolean = {
    var i = 0
    while (i < values.numElements() && !values.isNullAt(i)) i += 1
    i < values.numElements()
  }

  override protected def withNewChildInternal(child: Expression): BigDLModuleCall = copy(child = child)
}
