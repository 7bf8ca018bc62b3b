package org.apache.spark.sql.sqlext

import java.util.concurrent.TimeUnit

import org.apache.spark.internal.config.TypedConfigBuilder
import org.apache.spark.network.util.ByteUnit
import org.apache.spark.sql.internal.SQLConf

/** Registers `spark.sqlext.*`: a SET of a static one is refused, and permanent views keep the values of the others. */
object Settings {
  val prefix = "spark.sqlext."

  def register(): Unit = synchronized(Language.settings.filterNot(s => SQLConf.containsConfigKey(prefix + s.name)).foreach(one))

  private def one(setting: Language.Setting): Unit = {
    val (key, doc) = (prefix + setting.name, setting.doc)
    val builder = (if (setting.static) SQLConf.buildStaticConf(key) else SQLConf.buildConf(key)).doc(doc).version(Language.version)
    def create[T](typed: TypedConfigBuilder[T]): Unit = setting.default.fold[Any](typed.createOptional)(typed.createWithDefaultString)
    setting.kind match {
      case "int" => create(builder.intConf)
      case "bytes" => create(builder.bytesConf(ByteUnit.BYTE))
      case "duration" => create(builder.timeConf(TimeUnit.MILLISECONDS))
      case _ => create(builder.stringConf)
    }
  }
}
