package org.apache.spark.sql.sqlext

import org.apache.spark.sql.catalyst.analysis.{AnsiTypeCoercion, TypeCoercion, TypeCoercionBase}
import org.apache.spark.sql.catalyst.expressions.{Expression, ImplicitCastInputTypes}
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.types.AbstractDataType

/** Calls of functions that the JVM evaluates. A wrong number or type of arguments is the same error as for Python's functions. */
object NativeCalls {
  def checked(f: Language.Function, build: Seq[Expression] => Expression)(
      arguments: Seq[Expression]): Expression = if (f.parameters.isEmpty) build(arguments) else {
    def invalid(problem: String) = Errors.analysis("INVALID_ARGUMENTS", "signature" -> f.signature, "problem" -> problem)
    val count = f.parameters.size
    if (arguments.size != count)
      throw invalid(s"takes $count argument${if (count == 1) "" else "s"}, got ${arguments.size}")
    val call = build(arguments)
    call match {
      case typed: ImplicitCastInputTypes =>
        for (((a, wanted), parameter) <- arguments.zip(typed.inputTypes).zip(f.parameters) if !fits(a, wanted))
          throw invalid(s"needs $parameter as ${text(wanted)}, got ${a.dataType.simpleString}")
      case _ =>
    }
    call
  }

  private def fits(argument: Expression, wanted: AbstractDataType): Boolean = {
    val casts: TypeCoercionBase = if (SQLConf.get.ansiEnabled) AnsiTypeCoercion else TypeCoercion
    wanted.acceptsType(argument.dataType) || casts.implicitCast(argument, wanted).isDefined
  }

  private def text(wanted: AbstractDataType): String = wanted.simpleString.stripPrefix("(").stripSuffix(")")
}
