package org.apache.spark.sql.sqlext

import org.apache.spark.sql.catalyst.expressions.{Attribute, AttributeReference, ExprId, Expression, PythonUDF}
import org.apache.spark.sql.catalyst.plans.logical.{ArrowEvalPython, LogicalPlan}
import org.apache.spark.sql.execution.python.UserDefinedPythonFunction

/** Recognises our scoring calls, the only ones that our rules change: Python UDFs whose name has our prefix. */
object Scoring {
  private val mark = "sqlext:"

  def call(key: String, function: UserDefinedPythonFunction, arguments: Seq[Expression]): PythonUDF = PythonUDF(
    mark + key, function.func, function.dataType, arguments, function.pythonEvalType, function.udfDeterministic)

  def isCall(e: Expression): Boolean = e match {
    case u: PythonUDF => u.name.startsWith(mark) && u.udfDeterministic
    case _ => false
  }

  def isScored(plan: LogicalPlan): Boolean = plan match {
    // Not the class Scored: rules of Spark copy the node, and copy() of this case class returns a plain ArrowEvalPython.
    case e: ArrowEvalPython => e.udfs.forall(isCall)
    case _ => false
  }
}

/** Spark's node, created during analysis. Two analyses of a query give equal plans, so that Spark finds cached ones again. */
class Scored(udfs: Seq[PythonUDF], resultAttrs: Seq[Attribute], child: LogicalPlan, evalType: Int)
  extends ArrowEvalPython(udfs, resultAttrs, child, evalType) {

  override protected def doCanonicalize(): LogicalPlan = super.doCanonicalize() match {
    case e: ArrowEvalPython => e.copy(resultAttrs = Scored.numbered(resultAttrs, child.output.size))
    case other => other
  }

  override protected def withNewChildInternal(newChild: LogicalPlan): Scored =
    new Scored(udfs, resultAttrs, newChild, evalType)
}

object Scored {
  // Not a name that a user's alias can have: Spark removes an alias that only repeats a name, and with it the reference that
  // TrimScoring looks for.
  private val name = "sqlext:scored"

  def apply(calls: Seq[PythonUDF], child: LogicalPlan): Scored =
    new Scored(calls, calls.map(c => AttributeReference(name, c.dataType, c.nullable)()), child, calls.head.evalType)

  /** Result attributes with numbered ids instead of random ones. */
  def numbered(attributes: Seq[Attribute], from: Int): Seq[Attribute] =
    attributes.zipWithIndex.map { case (a, i) => AttributeReference(name, a.dataType, a.nullable)(ExprId(from + i)) }
}
