package org.apache.spark.sql.sqlext

import org.apache.spark.sql.catalyst.expressions.{Expression, ImplicitCastInputTypes, Literal, RuntimeReplaceable}
import org.apache.spark.sql.catalyst.expressions.objects.StaticInvoke
import org.apache.spark.sql.catalyst.trees.BinaryLike
import org.apache.spark.sql.catalyst.util.ArrayData
import org.apache.spark.sql.types._

/**
 * `cosine_similarity(a, b)`: a DOUBLE in [-1, 1] for two ARRAYs of numbers, computed in doubles (FLOAT arrays are read
 * directly, other numbers are cast to DOUBLE). NULL if an argument is NULL, the lengths differ, an element is NULL, NaN or
 * infinite, or a vector is all zeros and so has no direction.
 */
case class CosineSimilarity(left: Expression, right: Expression)
  extends RuntimeReplaceable with ImplicitCastInputTypes with BinaryLike[Expression] {

  override def inputTypes: Seq[AbstractDataType] = {
    val numbers = TypeCollection(ArrayType(DoubleType), ArrayType(FloatType))
    Seq(numbers, numbers)
  }

  // StaticInvoke returns NULL for a NULL argument without a call, so `of` gets two arrays.
  override lazy val replacement: Expression = StaticInvoke(classOf[CosineSimilarity], DoubleType, "of",
    Seq(left, right, Literal(isFloat(left)), Literal(isFloat(right))),
    Seq(left.dataType, right.dataType, BooleanType, BooleanType))

  override def prettyName: String = "cosine_similarity"

  private def isFloat(e: Expression): Boolean = e.dataType.asInstanceOf[ArrayType].elementType == FloatType

  override protected def withNewChildrenInternal(a: Expression, b: Expression): CosineSimilarity = copy(a, b)
}

object CosineSimilarity {
  def of(a: ArrayData, b: ArrayData, floatsA: Boolean, floatsB: Boolean): java.lang.Double = {
    val n = a.numElements()
    if (n != b.numElements()) return null
    var (i, dot, squaresA, squaresB) = (0, 0.0, 0.0, 0.0)
    while (i < n) {
      if (a.isNullAt(i) || b.isNullAt(i)) return null
      val x = if (floatsA) a.getFloat(i) else a.getDouble(i)
      val y = if (floatsB) b.getFloat(i) else b.getDouble(i)
      dot += x * y
      squaresA += x * x
      squaresB += y * y
      i += 1
    }
    // With a single root the cosine of a vector with itself is exactly 1, unless the product exceeds the range of doubles.
    val product = squaresA * squaresB
    val inRange = product > java.lang.Double.MIN_NORMAL && !product.isInfinite
    val cosine = dot / (if (inRange) math.sqrt(product) else math.sqrt(squaresA) * math.sqrt(squaresB))
    if (cosine.isNaN) null else math.max(-1.0, math.min(1.0, cosine))
  }
}
