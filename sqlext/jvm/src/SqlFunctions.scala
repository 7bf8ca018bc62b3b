package org.apache.spark.sql.sqlext

import scala.collection.JavaConverters._
import scala.reflect.ClassTag
import scala.util.Try

import com.fasterxml.jackson.databind.JsonNode
import org.apache.spark.SparkContext
import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.catalyst.{CatalystTypeConverters, FunctionIdentifier}
import org.apache.spark.sql.catalyst.analysis._
import org.apache.spark.sql.catalyst.catalog.SessionCatalog
import org.apache.spark.sql.catalyst.expressions._
import org.apache.spark.sql.catalyst.parser.CatalystSqlParser
import org.apache.spark.sql.catalyst.util.{CharVarcharUtils, toPrettySQL}
import org.apache.spark.sql.connector.catalog.CatalogManager
import org.apache.spark.sql.internal.SQLConf
import org.apache.spark.sql.types.{AtomicType, BinaryType, CharType, StringType}

/** A call of one of our functions: shown with its name and arguments in columns and plans, but run as `replacement`. */
case class SqlFunction(name: String, parameters: Seq[Expression], replacement: Expression)
  extends RuntimeReplaceable with InheritAnalysisRules {
  override def prettyName: String = name
  override protected def withNewChildInternal(child: Expression): SqlFunction = copy(replacement = child)
}

/**
 * The functions of language.json. They are registered in the builtin registry, which every session copies, because an injected
 * function counts as temporary, and permanent views reject it. Python binds the calls when a query is analysed.
 */
object SqlFunctions {
  private val owner = "sqlext_"
  private val classPrefix = getClass.getPackage.getName

  /** Every function has the name `sqlext_<name>`, and its short name unless `spark.sqlext.functions` leaves that out. */
  def register(): Unit = synchronized {
    // The registry belongs to the JVM. A later SparkContext may list other names, so names can also be removed.
    val listed = SparkContext.getActive.flatMap(_.getConf.getOption(Settings.prefix + "functions"))
    val short = listed.map(_.split(",").map(_.trim).toSet)
    for (f <- Language.functions; name <- Seq(f.name, owner + f.name.stripPrefix(owner)).distinct) {
      val (id, wanted) = (FunctionIdentifier(name), name.startsWith(owner) || short.forall(_(name)))
      val known = FunctionRegistry.builtin.lookupFunction(id).exists(_.getClassName.startsWith(classPrefix))
      if (wanted && !known) FunctionRegistry.builtin.registerFunction(id, info(f, name), builder(f, name))
      else if (!wanted && known) FunctionRegistry.builtin.dropFunction(id)
    }
  }

  private def info(f: Language.Function, name: String): ExpressionInfo = new ExpressionInfo(
    f.native.getOrElse(classOf[SqlFunction].getName), null, name, f.usage, f.arguments, f.examples, "", "",
    Language.version, "", "built-in")

  private def builder(f: Language.Function, name: String): Seq[Expression] => Expression = f.native match {
    // Lazy, since a native function may need a jar that is not installed.
    case Some(expression) =>
      lazy val build = FunctionRegistryBase.build[Expression](name, None)(ClassTag(Class.forName(expression)))._2
      NativeCalls.checked(f, build(_))
    case None => bind(f.name, name, _)
  }

  /** Python's binding of a call: Python steps over the arguments, then one SQL expression over arguments and steps. */
  private def bind(function: String, name: String, arguments: Seq[Expression]): Expression = {
    val bound = ask("bind", function, arguments)
    val byName = arguments.zipWithIndex.map { case (a, i) => s"arg$i" -> a }.toMap
    val scope = bound.get("steps").elements().asScala
      .foldLeft(byName)((known, s) => known + (s.get("name").asText -> step(s, known)))
    SqlFunction(name, arguments, expression(bound.get("result").asText, scope))
  }

  /** Asks Python about a call: `method` gets the function, the arguments and the database for unqualified names. */
  def ask(method: String, function: String, arguments: Seq[Expression]): JsonNode = {
    val session = SparkSession.active
    // Models are in the session catalog, even while another catalog is current.
    val namespace = AnalysisContext.get.catalogAndNamespace match { // inside a view: where the view was created
      case Seq(CatalogManager.SESSION_CATALOG_NAME, view @ _*) if view.nonEmpty => view
      case Seq(_, _*) => Seq(SessionCatalog.DEFAULT_DATABASE)
      case _ => Seq(session.sessionState.catalog.getCurrentDatabase)
    }
    val call = Map("function" -> function, "namespace" -> namespace, "arguments" -> arguments.map(describe))
    try Hub.call(session, method, call) catch { case e: SqlExtAnalysisException => throw e.in(arguments) }
  }

  private def describe(argument: Expression): Map[String, Any] = {
    val constant = constantValue(argument)
    val description = Map("type" -> Hub.json.readTree(argument.dataType.json), "text" -> toPrettySQL(argument),
      "padded" -> isChar(argument))
    description ++ Map("constant" -> constant.isDefined) ++ constant.map("value" -> _) ++
      constant.flatMap(_ => string(argument)).map("string" -> _)
  }

  /** Whether the argument is a CHAR(n) column, which Spark has filled up with spaces. */
  private def isChar(argument: Expression): Boolean = argument match {
    case named: NamedExpression if named.resolved =>
      CharVarcharUtils.getRawType(named.metadata).exists(_.isInstanceOf[CharType])
    case _ => false
  }

  /** Some(null) for a constant NULL; None if it is not a constant, or one that only the optimizer can evaluate. */
  private def constantValue(argument: Expression): Option[Any] = if (!argument.foldable) None else Try {
    val plain = evaluable(argument)
    CatalystTypeConverters.convertToScala(plain.eval(), plain.dataType) match {
      case null => null
      case simple @ (_: String | _: Number | _: java.lang.Boolean) => simple
      case other => other.toString
    }
  }.toOption

  /** A constant as SQL's CAST to STRING returns it, which is how labels are stored. JSON would turn the DECIMAL 1.10 into 1.1. */
  private def string(argument: Expression): Option[String] = argument.dataType match {
    case _: BinaryType => None
    case _: AtomicType => Try {
      Option(Cast(evaluable(argument), StringType, Some(SQLConf.get.sessionLocalTimeZone)).eval()).map(_.toString)
    }.toOption.flatten
    case _ => None
  }

  private def evaluable(argument: Expression): Expression =
    // A RuntimeReplaceable has no eval() itself; normally the optimizer replaces it.
    argument.transformUp { case r: RuntimeReplaceable => r.replacement }

  private def step(step: JsonNode, scope: Map[String, Expression]): Expression = {
    val key = step.get("udf").asText
    val arguments = step.get("arguments").elements().asScala.map(a => expression(a.asText, scope) match {
      case read: ReadImage => read.copy(namesMissing = true)
      case other => other
    }).toList
    Scoring.call(key, Hub.udf(key), arguments)
  }

  /** Parses text with Spark's parser. Names in `scope` are replaced by their expressions, `name.field` by a field of one. */
  private def expression(text: String, scope: Map[String, Expression]): Expression =
    CatalystSqlParser.parseExpression(text).transformUp {
      case UnresolvedAttribute(head +: fields) if scope.contains(head) =>
        fields.foldLeft(scope(head))((e, field) => UnresolvedExtractValue(e, Literal(field)))
    }
}
