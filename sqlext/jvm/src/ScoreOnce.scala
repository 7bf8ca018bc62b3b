package org.apache.spark.sql.sqlext

import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.expressions.aggregate.AggregateExpression
import org.apache.spark.sql.catalyst.plans._
import org.apache.spark.sql.catalyst.plans.logical._
import org.apache.spark.sql.catalyst.plans.physical.RangePartitioning
import org.apache.spark.sql.catalyst.rules.Rule
import org.apache.spark.sql.sqlext.Scoring.{isCall, isScored}

// Stock Spark evaluates a Python UDF once per operator that mentions it: WHERE and SELECT of one prediction score a row twice.
// These three rules make it once per row; docs/scoring.md shows them at work on a query.

/**
 * At analysis every scoring call becomes an attribute of a node below the operator that uses it. Spark's own optimizer then
 * moves filters around that node and cannot copy it; an operator further up reads the attribute that is there already.
 */
object LiftScoring extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = plan.resolveOperatorsUp {
    case op if op.resolved && op.expressions.exists(_.exists(isCall)) => refuseLambdas(op); lift(op)
  }

  private def lift(op: LogicalPlan): LogicalPlan = op match {
    case a: Aggregate if a.aggregateExpressions.exists(overGroups(_, a).nonEmpty) => val Project(list, below) = split(a); lift(Project(list, lift(below)))
    case _: Project | _: Filter | _: Sort | _: Aggregate | _: Generate | _: Join | _: RepartitionByExpression | _: Window | _: Expand =>
      val lifted = Iterator.iterate(op)(liftInnermost).sliding(2).collectFirst { case Seq(a, b) if a fastEquals b => a }.get
      if (lifted.output == op.output) lifted else Project(op.output, lifted)
    case _ => op
  }

  /** One round; nested calls take one per level. */
  private def liftInnermost(op: LogicalPlan): LogicalPlan = {
    var scored = Map.empty[Expression, Attribute]
    val children = op.children.map { child =>
      val mine = innermost(op).filter(c => c.references.subsetOf(child.outputSet) && !scored.contains(c.canonicalized))
      if (mine.isEmpty || isCorrelated(child)) child else {
        val (below, missing) = mine.foldLeft((child, Seq.empty[PythonUDF])) { case ((plan, rest), call) =>
          expose(plan, call) match {
            case Some((exposed, attribute)) => scored += call.canonicalized -> attribute; (exposed, rest)
            case None => (plan, rest :+ call)
          }
        }
        together(missing).foldLeft(below) { (plan, calls) =>
          val node = Scored(calls, plan)
          scored ++= calls.map(_.canonicalized).zip(node.resultAttrs)
          node
        }
      }
    }
    if (scored.isEmpty) op
    else op.withNewChildren(children).transformExpressions { case u: PythonUDF if scored.contains(u.canonicalized) => scored(u.canonicalized) }
  }

  /** Distinct calls without another one, an aggregate, a window or an outer reference inside. */
  private def innermost(op: LogicalPlan): Seq[PythonUDF] = op.expressions.flatMap(_.collect {
    case u: PythonUDF if isCall(u) && !u.children.exists(_.exists {
      case _: AggregateExpression | _: OuterReference | _: WindowExpression => true
      case e => isCall(e)
    }) => u
  }).groupBy(_.canonicalized).values.map(_.head).toSeq.sortBy(_.name)

  /** One node for all of a kind; the worker takes a single iterator UDF at a time. */
  private def together(calls: Seq[PythonUDF]): Seq[Seq[PythonUDF]] = {
    val (iterators, plain) = calls.partition(_.evalType == org.apache.spark.api.python.PythonEvalType.SQL_SCALAR_PANDAS_ITER_UDF)
    iterators.map(Seq(_)) ++ Some(plain).filter(_.nonEmpty)
  }

  /** The plan with the attribute of a call that is already scored below in its output, where rows pass unchanged. */
  private def expose(plan: LogicalPlan, call: PythonUDF): Option[(LogicalPlan, Attribute)] = {
    def through(child: LogicalPlan): Option[(LogicalPlan, Attribute)] = expose(child, call).map { case (exposed, attribute) =>
      (plan.withNewChildren(plan.children.map(c => if (c eq child) exposed else c)), attribute)
    }
    plan match {
      case e: ArrowEvalPython if e.udfs.exists(_.semanticEquals(call)) => Some(e -> e.resultAttrs(e.udfs.indexWhere(_.semanticEquals(call))))
      case p: Project => through(p.child).map {
        case (Project(list, child), attribute) => (Project(if (list.contains(attribute)) list else list :+ attribute, child), attribute)
      }
      case _: Filter | _: Sort | _: SubqueryAlias | _: ArrowEvalPython | _: GlobalLimit | _: LocalLimit => through(plan.children.head)
      case Join(left, right, kind, _, _) => // not from a side whose rows may be made up of NULLs
        (kind match {
          case Inner | Cross => Seq(left, right)
          case LeftOuter | LeftSemi | LeftAnti => Seq(left)
          case RightOuter => Seq(right)
          case _ => Nil
        }).filter(c => call.references.subsetOf(c.outputSet)).flatMap(through(_)).headOption
      case _ => None
    }
  }

  /** Spark refuses an unknown node between a correlated filter and the outer query; such a call stays a plain UDF. */
  private def isCorrelated(plan: LogicalPlan): Boolean = plan.exists(_.expressions.exists(_.exists(_.isInstanceOf[OuterReference])))

  /** Calls over what the groups are or aggregate to: they are scored above the aggregate, once per group. */
  private def overGroups(e: Expression, a: Aggregate): Seq[Expression] =
    if (isOfGroup(e, a)) Nil else if (isCall(e) && e.exists(isOfGroup(_, a))) Seq(e) else e.children.flatMap(overGroups(_, a))

  private def isOfGroup(e: Expression, a: Aggregate): Boolean =
    e.isInstanceOf[AggregateExpression] || a.groupingExpressions.exists(_.semanticEquals(e))

  private def split(a: Aggregate): Project = {
    val (above, plain) = a.aggregateExpressions.partition(overGroups(_, a).nonEmpty)
    val parts = above.flatMap(parts_(_, a)).groupBy(_.canonicalized).values.map(_.head).toSeq
    val named = parts.map { case n: NamedExpression => n.canonicalized -> n; case e => e.canonicalized -> Alias(e, "part")() }.toMap
    val list = a.aggregateExpressions.map(e => if (!above.contains(e)) e.toAttribute else e.transformDown {
      case part if isOfGroup(part, a) => named(part.canonicalized).toAttribute }.asInstanceOf[NamedExpression])
    Project(list, a.copy(aggregateExpressions = plain ++ named.values))
  }

  private def parts_(e: Expression, a: Aggregate): Seq[Expression] = if (isOfGroup(e, a)) Seq(e) else e.children.flatMap(parts_(_, a))

  private def refuseLambdas(op: LogicalPlan): Unit = op.expressions.foreach(_.foreach {
    case lambda: LambdaFunction if lambda.exists(isCall) =>
      val name = lambda.collectFirst { case f: SqlFunction => f.name }.getOrElse("A scoring function")
      throw Errors.analysis("UNSUPPORTED_IN_LAMBDA", "0A000", s"$name cannot be called inside a lambda: it is scored in batches of " +
        s"rows. Make rows of the elements first: SELECT $name(.., x) FROM (SELECT explode(xs) AS x FROM ..).")
    case _ =>
  })
}

/** In the optimizer: a score that nobody reads is not computed, and ORDER BY other columns LIMIT k takes the k rows first. */
object TrimScoring extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = if (!plan.exists(isScored)) plan else {
    // Every use of a result is a reference somewhere: the operators above read columns that projections made of it.
    val read = AttributeSet(plan.output) ++ AttributeSet.fromAttributeSets(collectReferences(plan))
    plan.transformDown {
      case e: ArrowEvalPython if isScored(e) && !e.resultAttrs.forall(read.contains) =>
        val (udfs, attributes) = e.udfs.zip(e.resultAttrs).filter(u => read.contains(u._2)).unzip
        if (udfs.isEmpty) e.child else e.copy(udfs = udfs, resultAttrs = attributes)
      case limit @ GlobalLimit(_, local: LocalLimit) => topRowsFirst(local.child, s => limit.copy(child = local.copy(child = s))).getOrElse(limit)
    }
  }

  private def collectReferences(plan: LogicalPlan): Seq[AttributeSet] = plan.collect { case p => p.references }

  /** `limited` puts the limit on the sort, wherever that goes. */
  private def topRowsFirst(plan: LogicalPlan, limited: Sort => LogicalPlan): Option[LogicalPlan] = plan match {
    case p: Project => topRowsFirst(p.child, limited).map(c => p.copy(child = c))
    case s @ Sort(order, true, p @ Project(list, e: ArrowEvalPython)) if isScored(e) =>
      val made = AttributeMap(list.collect { case a: Alias => a.toAttribute -> a.child })
      val original = order.map(_.transform { case a: Attribute => made.getOrElse(a, a) }.asInstanceOf[SortOrder])
      below(original, e).map(o => p.copy(child = e.copy(child = limited(s.copy(order = o, child = e.child)))))
    case s @ Sort(order, true, e: ArrowEvalPython) if isScored(e) =>
      below(order, e).map(_ => e.copy(child = limited(s.copy(child = e.child))))
    case _ => None
  }

  private def below(order: Seq[SortOrder], e: ArrowEvalPython): Option[Seq[SortOrder]] =
    Some(order).filter(_.forall(o => o.deterministic && o.references.subsetOf(e.child.outputSet)))
}

/** Range partitioning (a global sort) samples its input by running it once more: an exchange in between keeps what was scored. */
object SortOnce extends Rule[LogicalPlan] {
  override def apply(plan: LogicalPlan): LogicalPlan = if (!plan.exists(isScored)) plan else {
    val topK = plan.collect { case LocalLimit(_, s: Sort) => s; case LocalLimit(_, Project(_, s: Sort)) => s } // no sampling there
    plan.transformDown {
      case s @ Sort(_, true, child) if isRunAgain(child) && !topK.exists(_ eq s) => s.copy(child = RebalancePartitions(Nil, child))
      case r: RepartitionByExpression if r.partitioning.isInstanceOf[RangePartitioning] && isRunAgain(r.child) =>
        r.copy(child = RebalancePartitions(Nil, r.child))
    }
  }

  private def isRunAgain(child: LogicalPlan): Boolean = child.exists(isScored) && !child.isInstanceOf[RebalancePartitions]
}
