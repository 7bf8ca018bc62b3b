package org.apache.spark.sql.sqlext

import java.net.{URL, URLConnection}
import java.util.{Collections, WeakHashMap}

import org.apache.spark.sql.{SparkSessionExtensions, SparkSessionExtensionsProvider}

/**
 * What bigdl-sqlext injects into Spark: `spark.sql.extensions=org.apache.spark.sql.sqlext.SqlExtensions`.
 *
 * The shim itself knows no statements or functions: words, schemas, functions and settings come from Python (Language.scala).
 * It uses these internals of Spark, listed by file, with the changes in Spark 4:
 *  - SparkLexer, PastedText: SqlBaseLexer, UpperCaseCharStream (private[parser])
 *  - StatementParser: ParserInterface (4.0 adds parseRoutineParam), VariableSubstitution
 *  - StatementCommand: LeafRunnableCommand, ExplainCommand
 *  - JsonRows: JsonToStructs (4.0: another constructor)
 *  - Errors: the protected constructors of AnalysisException and ParseException (4.0: no free message)
 *  - ThriftErrors: SparkExecuteStatementOperation by name, HiveSQLException
 *  - SqlFunctions: FunctionRegistry.builtin, PythonUDF, RuntimeReplaceable, AnalysisContext
 *  - NativeCalls: TypeCoercion, AnsiTypeCoercion
 *  - TableFunctions: TableFunctionRegistry.builtin, LeafExecNode, DataSource.GLOB_PATHS_KEY
 *  - RowErrors: ColumnarRule, AdaptiveSparkPlanExec.inputPlan
 *  - Settings: SQLConf.buildConf and buildStaticConf
 *  - ScoreOnce, ScoringExec: InputFileName, View, ArrowEvalPython (4.0: resultAttrs and evalType move), EvalPythonExec, ArrowPythonRunner
 */
class SqlExtensions extends (SparkSessionExtensions => Unit) {
  override def apply(extensions: SparkSessionExtensions): Unit = if (SqlExtensions.isNew(extensions)) {
    // Hive closes class loaders when a Thrift session ends. With Java's JVM-wide cache of jar files, this closes files from
    // which other sessions are reading classes ("Stream closed", JDK-8246714).
    SqlExtensions.doNotCacheJars()
    Settings.register()
    SqlFunctions.register()
    TableFunctions.register()
    extensions.injectParser((session, spark) => new StatementParser(session, spark))
    // After Spark's resolution, because the rule needs resolved arguments, and before
    // the optimizer, which would copy the calls.
    extensions.injectPostHocResolutionRule(_ => LiftScoring)
    extensions.injectOptimizerRule(_ => TrimScoring)
    extensions.injectPreCBORule(_ => SortOnce)
    extensions.injectPlannerStrategy(_ => ScoringStrategy)
    extensions.injectPlannerStrategy(_ => TableFunctionStrategy)
    extensions.injectColumnar(_ => RowErrors)
  }
}

object SqlExtensions {
  private val seen = Collections.newSetFromMap(new WeakHashMap[SparkSessionExtensions, java.lang.Boolean])

  /** Both the setting and the service file may name this class, but a second parser would call Python twice. */
  private def isNew(extensions: SparkSessionExtensions): Boolean = seen.synchronized(seen.add(extensions))

  /** Java 8 has only one default for all protocols, and not the method that takes a protocol. */
  private def doNotCacheJars(): Unit = try {
    classOf[URLConnection].getMethod("setDefaultUseCaches", classOf[String], classOf[Boolean]).invoke(null, "jar", java.lang.Boolean.FALSE)
  } catch {
    case _: NoSuchMethodException => new URL("jar:file:/none.jar!/").openConnection().setDefaultUseCaches(false)
  }
}

/** Named in META-INF/services, so that with the jar on the class path, a JVM-only driver such as spark-sql needs no setting. */
class SqlExtensionsProvider extends SparkSessionExtensionsProvider {
  override def apply(extensions: SparkSessionExtensions): Unit = new SqlExtensions().apply(extensions)
}
