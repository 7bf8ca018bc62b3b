package org.apache.spark.sql.sqlext

import java.net.{URL, URLConnection}
import java.util.{Collections, WeakHashMap}

import org.apache.spark.sql.{SparkSessionExtensions, SparkSessionExtensionsProvider}

/**
 * What bigdl-sqlext injects into Spark: `spark.sql.extensions=org.apache.spark.sql.sqlext.SqlExtensions`.
 *
 * The shim knows no statement and no function: words, schemas, functions, settings come from Python (Language.scala).
 * What it touches of Spark's internals, file by file, with what Spark 4 changes:
 *  - SparkLexer: SqlBaseLexer, UpperCaseCharStream (private[parser])
 *  - StatementParser: ParserInterface (4.0 adds parseRoutineParam), VariableSubstitution
 *  - StatementCommand: LeafRunnableCommand, ExplainCommand
 *  - JsonRows: JsonToStructs (4.0: another constructor)
 *  - Errors: the protected constructors of AnalysisException and ParseException (4.0: no free message)
 *  - SqlFunctions: FunctionRegistry.builtin, PythonUDF, RuntimeReplaceable, AnalysisContext
 *  - NativeCalls: TypeCoercion, AnsiTypeCoercion
 *  - TableFunctions: TableFunctionRegistry.builtin, LeafExecNode, DataSource.GLOB_PATHS_KEY
 *  - RowErrors: ColumnarRule, AdaptiveSparkPlanExec.inputPlan
 *  - Settings: SQLConf.buildConf and buildStaticConf
 *  - ScoreOnce, ScoringExec: ArrowEvalPython (4.0: resultAttrs and evalType move), EvalPythonExec, ArrowPythonRunner
 */
class SqlExtensions extends (SparkSessionExtensions => Unit) {
  override def apply(extensions: SparkSessionExtensions): Unit = if (SqlExtensions.isNew(extensions)) {
    // Hive closes class loaders when a Thrift session ends; with the JVM-wide cache of jar files on, that breaks the
    // class reads of every other session ("Stream closed", JDK-8246714).
    SqlExtensions.doNotCacheJars()
    Settings.register()
    SqlFunctions.register()
    TableFunctions.register()
    extensions.injectParser((session, spark) => new StatementParser(session, spark))
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

  /** The setting and the service file may both name us; a second parser would ask Python twice. */
  private def isNew(extensions: SparkSessionExtensions): Boolean = seen.synchronized(seen.add(extensions))

  /** Java 8 has one default for all protocols, and no method that takes one. */
  private def doNotCacheJars(): Unit = try {
    classOf[URLConnection].getMethod("setDefaultUseCaches", classOf[String], classOf[Boolean]).invoke(null, "jar", java.lang.Boolean.FALSE)
  } catch {
    case _: NoSuchMethodException => new URL("jar:file:/none.jar!/").openConnection().setDefaultUseCaches(false)
  }
}

/** For META-INF/services: with the jar on the class path, a JVM-only driver such as spark-sql needs no setting. */
class SqlExtensionsProvider extends SparkSessionExtensionsProvider {
  override def apply(extensions: SparkSessionExtensions): Unit = new SqlExtensions().apply(extensions)
}
