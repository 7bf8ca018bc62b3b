package org.apache.spark.sql.sqlext

import scala.annotation.tailrec

import org.apache.spark.api.python.PythonEvalType
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression
import org.apache.spark.sql.catalyst.plans._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.plans.physical.RangePartitioning
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.sqlext.Scoring.{isCall, isScored}

// Stock Spark evaluates a Python UDF once per operator that mentions it: if WHERE and SELECT use the same prediction, each row
// is scored twice. With these rules it is scored once (tests/core/test_call_counts.py has the shapes of queries).

/**
 * During analysis, every scoring call becomes an attribute of a node below the operator that uses it. Spark's own optimizer
 * then moves filters around that node but cannot duplicate it, and operators further up read the existing attribute. A Project
 * would not do: a later batch of the optimizer splits it again.
 */
object LiftScoring extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = plan.resolveOperatorsUp {
    case op if op.resolved && op.expressions.exists(_.exists(isCall)) => refuseLambdas(op); trimmed(op, lift(FileNames.computeFirst(op)))
    case op: UnaryNode if op.resolved && FileNames.isIn(op) => trimmed(op, FileNames.computeFirst(op))
  }

  /** A Filter or a Sort passes the added attributes on, which must not become columns of the result. */
  private def trimmed(op: LogicalPlan, changed: LogicalPlan): LogicalPlan =
    if (changed.output == op.output) changed else Project(op.output, changed)

  private def lift(op: LogicalPlan): LogicalPlan = op match {
    case a: Aggregate if ScoredGroups.isIn(a) =>
      val above = ScoredGroups.split(a)
      lift(above.copy(child = lift(above.child)))
    // Spark does not allow a non-deterministic join condition, and its error should show the user's operator.
    case j: Join if Volatile.isIn(j) => j
    case _: Project | _: Filter | _: Sort | _: Aggregate | _: Generate | _: Join | _: RepartitionByExpression |
        _: Window | _: Expand =>
      val lifted = Iterator.iterate(Volatile.computeFirst(op))(liftInnermost).sliding(2).collectFirst { case Seq(a, b) if a eq b => a }.get
      trimmed(op, lifted)
    case _ => op
  }

  /** Lifts the innermost calls; nested calls take one round per level. */
  private def liftInnermost(op: LogicalPlan): LogicalPlan = {
    var scored = Map.empty[Expression, Attribute]
    val children = op.children.map { child =>
      // A call of constants fits every child; it is placed on the first one.
      val liftable = innermost(op).filter(c => c.references.subsetOf(child.outputSet) && !scored.contains(c.canonicalized))
      if (liftable.isEmpty || isCorrelated(child)) child else {
        val (below, missing) = liftable.foldLeft((child, Seq.empty[PythonUDF])) { case ((plan, rest), call) =>
          expose(plan, call) match {
            case Some((exposed, attribute)) => scored += call.canonicalized -> attribute; (exposed, rest)
            case None => (plan, rest :+ call)
          }
        }
        together(missing).foldLeft(below) { (plan, calls) =>
          val (placed, attributes) = place(plan, calls)
          scored ++= calls.map(_.canonicalized).zip(attributes)
          placed
        }
      }
    }
    if (scored.isEmpty) op
    else op.withNewChildren(children).transformExpressions {
      case u: PythonUDF if scored.contains(u.canonicalized) => scored(u.canonicalized)
    }
  }

  /** Distinct calls whose arguments contain no other call, aggregate, window or outer reference. */
  private def innermost(op: LogicalPlan): Seq[PythonUDF] = op.expressions.flatMap(_.collect {
    case u: PythonUDF if isCall(u) && !u.children.exists(_.exists {
      case _: AggregateExpression | _: OuterReference | _: WindowExpression => true
      case e => isCall(e)
    }) => u
  // Sorted, because a Map has no fixed order and two analyses of a query must give equal plans.
  }).groupBy(_.canonicalized).values.map(_.head).toSeq.sortBy(_.name)

  /** Groups calls that can share one node: a Python worker runs only one iterator UDF at a time. */
  private def together(calls: Seq[PythonUDF]): Seq[Seq[PythonUDF]] = {
    val (iterators, plain) = calls.partition(_.evalType == PythonEvalType.SQL_SCALAR_PANDAS_ITER_UDF)
    iterators.map(Seq(_)) ++ Some(plain).filter(_.nonEmpty)
  }

  /** Places the node below the operator, and also below an Expand, which would repeat rows (GROUPING SETS, ROLLUP, CUBE). */
  private def place(plan: LogicalPlan, calls: Seq[PythonUDF]): (LogicalPlan, Seq[Attribute]) = plan match {
    case x: Expand if calls.forall(_.references.subsetOf(x.child.outputSet)) =>
      val (child, attributes) = place(x.child, calls)
      (carry(x, child, attributes), attributes)
    case _ =>
      val node = Scored(calls, plan)
      (node, node.resultAttrs)
  }

  private def carry(x: Expand, child: LogicalPlan, attributes: Seq[Attribute]): Expand =
    Expand(x.projections.map(_ ++ attributes), x.output ++ attributes, child)

  /** If the call is already scored below, and rows pass unchanged from there: the plan with that attribute in its output. */
  private def expose(plan: LogicalPlan, call: PythonUDF): Option[(LogicalPlan, Attribute)] = plan match {
    case e: ArrowEvalPython if e.udfs.exists(_.semanticEquals(call)) =>
      Some(e -> e.resultAttrs(e.udfs.indexWhere(_.semanticEquals(call))))
    case p: Project => expose(p.child, call).map { case (child, attribute) =>
      (Project(if (p.projectList.contains(attribute)) p.projectList else p.projectList :+ attribute, child), attribute)
    }
    case x: Expand if call.references.subsetOf(x.child.outputSet) =>
      expose(x.child, call).map { case (child, attribute) => (carry(x, child, Seq(attribute)), attribute) }
    case _ => carriers(plan).filter(c => call.references.subsetOf(c.outputSet)).flatMap { carrier =>
      expose(carrier, call).map { case (exposed, attribute) =>
        (plan.withNewChildren(plan.children.map(c => if (c eq carrier) exposed else c)), attribute)
      }
    }.headOption
  }

  /** Children whose columns an operator passes on row by row; not the side of a join that may be filled with NULLs. */
  private def carriers(plan: LogicalPlan): Seq[LogicalPlan] = plan match {
    case _: Filter | _: Sort | _: SubqueryAlias | _: ArrowEvalPython | _: GlobalLimit | _: LocalLimit => plan.children
    case Join(left, right, Inner | Cross, _, _) => Seq(left, right)
    case Join(left, _, LeftOuter | LeftSemi | LeftAnti, _, _) => Seq(left)
    case Join(_, right, RightOuter, _, _) => Seq(right)
    case _ => Nil
  }

  /** Spark rejects unknown nodes between a correlated filter and the outer query. There, a call stays a plain UDF. */
  def isCorrelated(plan: LogicalPlan): Boolean =
    plan.exists(_.expressions.exists(_.exists(_.isInstanceOf[OuterReference])))

  // Spark's analyser accepts a Python UDF inside a lambda, and the query would then fail on an executor.
  private def refuseLambdas(op: LogicalPlan): Unit = op.expressions.foreach(_.foreach {
    case lambda: LambdaFunction if lambda.exists(isCall) =>
      val call = lambda.collectFirst { case f: SqlFunction => f }
      val name = call.map(_.name).getOrElse("A scoring function")
      throw Errors.analysis("UNSUPPORTED_IN_LAMBDA", "function" -> name).withPosition(call.getOrElse(lambda).origin)
    case _ =>
  })
}

/**
 * Parts of arguments that are not deterministic, such as rand() or input_file_name(). Spark evaluates them in some operators
 * only, and our node is not one of them. So a Project below computes them, once per row for all calls of the operator.
 */
object Volatile {
  def isIn(op: LogicalPlan): Boolean = parts(op).nonEmpty

  @tailrec def computeFirst(op: LogicalPlan): LogicalPlan = (op, parts(op)) match {
    case (unary: UnaryNode, found) if found.nonEmpty && !LiftScoring.isCorrelated(unary.child) =>
      val named = found.map(part => part.canonicalized -> Alias(part, "sqlext:argument")())
      val attributes = named.toMap.mapValues(_.toAttribute).map(identity)
      val below = Project(unary.child.output ++ named.map(_._2), unary.child)
      // Again: the rest of clean(rand()) is not deterministic either.
      computeFirst(unary.withNewChildren(Seq(below)).transformExpressions {
        case e if !e.deterministic && attributes.contains(e.canonicalized) => attributes(e.canonicalized)
      })
    case _ => op
  }

  private def parts(op: LogicalPlan): Seq[Expression] = op.expressions.flatMap(_.collect { case call if isCall(call) => call })
    .flatMap(_.children.flatMap(parts)).groupBy(_.canonicalized).values.map(_.head).toSeq.sortBy(_.toString)

  /** The innermost expressions that are not deterministic themselves; not those over a value of an aggregate or a lambda. */
  private def parts(e: Expression): Seq[Expression] = e match {
    case _ if e.deterministic || e.isInstanceOf[AggregateExpression] || e.isInstanceOf[WindowExpression] => Nil
    case h: HigherOrderFunction if h.functions.exists(!_.deterministic) => Seq(h)
    case _ if e.children.forall(_.deterministic) && !e.exists(isFromAbove) => Seq(e)
    case _ => e.children.flatMap(parts)
  }

  private def isFromAbove(e: Expression): Boolean =
    e.isInstanceOf[AggregateExpression] || e.isInstanceOf[WindowExpression] || e.isInstanceOf[OuterReference]
}

/**
 * The name of the file that a row comes from. Our node reads rows ahead, so that above it the name could be that of a later
 * file. It is computed below all scoring and passed up.
 */
object FileNames {
  def computeFirst(op: LogicalPlan): LogicalPlan = op match {
    case unary: UnaryNode if isIn(unary) && !LiftScoring.isCorrelated(unary.child) =>
      val named = found(unary).map(name => name.canonicalized -> Alias(name, "sqlext:file")()).toMap
      unary.withNewChildren(Seq(below(unary.child, named.values.toSeq))).transformExpressions {
        case e if named.contains(e.canonicalized) => named(e.canonicalized).toAttribute
      }
    case _ => op
  }

  /** Looks for the names first: almost no operator has any, and the search for scoring visits the whole plan below. */
  def isIn(op: UnaryNode): Boolean =
    found(op).nonEmpty && (op.expressions.exists(_.exists(isCall)) || op.child.exists(isScored))

  private def found(op: LogicalPlan): Seq[Expression] = op.expressions.flatMap(_.collect {
    case e @ (_: InputFileName | _: InputFileBlockStart | _: InputFileBlockLength) => e
  })

  private def below(plan: LogicalPlan, named: Seq[Alias]): LogicalPlan = plan match {
    case p: Project if p.exists(isScored) => Project(p.projectList ++ named.map(_.toAttribute), below(p.child, named))
    case u @ (_: Filter | _: Sort | _: SubqueryAlias | _: View | _: GlobalLimit | _: LocalLimit | _: ArrowEvalPython)
        if u.exists(isScored) => u.withNewChildren(u.children.map(below(_, named)))
    case _ => Project(plan.output ++ named, plan)
  }
}

/** Calls whose arguments are grouping keys or aggregates are scored above the aggregate, once per group. */
object ScoredGroups {
  def isIn(a: Aggregate): Boolean = a.aggregateExpressions.exists(isAbove(_, a))

  /** A projection that contains these calls, above an aggregate without them. */
  def split(a: Aggregate): Project = {
    val (above, plain) = a.aggregateExpressions.partition(isAbove(_, a))
    val parts = above.flatMap(partsOf(_, a)).map(e => e.canonicalized -> e).toMap
      // mapValues is lazy and would create the aliases again, with other ids, at each access; map(identity) creates them once.
      .mapValues { case n: NamedExpression => n; case e => Alias(e, "part")() }.map(identity)
    def overParts(e: NamedExpression): NamedExpression =
      e.transformDown { case p if isPart(p, a) => parts(p.canonicalized).toAttribute }.asInstanceOf[NamedExpression]
    val list = a.aggregateExpressions.map(e => if (above.contains(e)) overParts(e) else e.toAttribute)
    Project(list, a.copy(aggregateExpressions = plain ++ parts.values))
  }

  private def isAbove(e: Expression, a: Aggregate): Boolean =
    !isPart(e, a) && (isCall(e) && e.exists(isPart(_, a)) || e.children.exists(isAbove(_, a)))

  private def partsOf(e: Expression, a: Aggregate): Seq[Expression] =
    if (isPart(e, a)) Seq(e) else e.children.flatMap(partsOf(_, a))

  private def isPart(e: Expression, a: Aggregate): Boolean =
    e.isInstanceOf[AggregateExpression] || a.groupingExpressions.exists(_.semanticEquals(e))
}

/** In the optimizer: scores that are never read are not computed, and ORDER BY other columns LIMIT k picks the rows first. */
object TrimScoring extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = if (!plan.exists(isScored)) plan else {
    // If a score is used, some operator references its attribute, directly or in a projection that others read.
    val read = AttributeSet(plan.output) ++ AttributeSet.fromAttributeSets(plan.collect { case p => p.references })
    plan.transformDown {
      case e: ArrowEvalPython if isScored(e) && !e.resultAttrs.forall(read.contains) =>
        val (udfs, attributes) = e.udfs.zip(e.resultAttrs).filter(u => read.contains(u._2)).unzip
        if (udfs.isEmpty) e.child else e.copy(udfs = udfs, resultAttrs = attributes)
      case limit @ GlobalLimit(_, local: LocalLimit) =>
        topRowsFirst(local.child, sort => limit.copy(child = local.copy(child = sort))).getOrElse(limit)
    }
  }

  /** `limited` adds the limit to the sort at its new place. */
  private def topRowsFirst(plan: LogicalPlan, limited: Sort => LogicalPlan): Option[LogicalPlan] = plan match {
    // A Project of rand() or row numbers would compute other values for fewer rows.
    case p @ Project(list, child) if list.forall(_.deterministic) => topRowsFirst(child, limited).map(c => p.copy(child = c))
    case s @ Sort(order, true, p @ Project(list, e: ArrowEvalPython)) if isScored(e) && list.forall(_.deterministic) =>
      val aliased = AttributeMap(list.collect { case a: Alias => a.toAttribute -> a.child })
      val original = order.map(_.transform { case a: Attribute => aliased.getOrElse(a, a) }.asInstanceOf[SortOrder])
      below(original, e).map(o => p.copy(child = e.copy(child = limited(s.copy(order = o, child = e.child)))))
    case s @ Sort(order, true, e: ArrowEvalPython) if isScored(e) =>
      below(order, e).map(_ => e.copy(child = limited(s.copy(child = e.child))))
    case _ => None
  }

  private def below(order: Seq[SortOrder], e: ArrowEvalPython): Option[Seq[SortOrder]] =
    Some(order).filter(_.forall(o => o.deterministic && o.references.subsetOf(e.child.outputSet)))
}

/** Range partitioning (a global sort) runs its input twice, the first time for a sample. An exchange below stores the scores. */
object SortOnce extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = if (!plan.exists(isScored)) plan else {
    // ORDER BY .. LIMIT k takes the first rows of each partition and needs no sample.
    val topK = plan.collect { case LocalLimit(_, s: Sort) => s; case LocalLimit(_, Project(_, s: Sort)) => s }
    plan.transformDown {
      case s @ Sort(_, true, child) if isRunAgain(child) && !topK.exists(_ eq s) =>
        s.copy(child = RebalancePartitions(Nil, child))
      case r: RepartitionByExpression if r.partitioning.isInstanceOf[RangePartitioning] && isRunAgain(r.child) =>
        r.copy(child = RebalancePartitions(Nil, r.child))
    }
  }

  private def isRunAgain(child: LogicalPlan): Boolean =
    child.exists(isScored) && !child.isInstanceOf[RebalancePartitions]
}
