package org.apache.spark.sql.sqlext

import java.util.concurrent.{ConcurrentHashMap, TimeUnit}

import org.apache.spark.internal.config.{ConfigEntry, TypedConfigBuilder}
import org.apache.spark.network.util.ByteUnit
import org.apache.spark.sql.internal.SQLConf

/** Registers `spark.sqlext.*`, so that Spark refuses to SET static ones and permanent views store the values of the others. */
object Settings {
  val prefix = "spark.sqlext."
  private val entries = new ConcurrentHashMap[String, ConfigEntry[_]]()

  def register(): Unit = synchronized {
    // Spark has one register per JVM and throws an exception if a key is registered twice.
    Language.settings.filterNot(s => entries.containsKey(s.name)).foreach(s => entries.put(s.name, entry(s)))
  }

  /** The value for this query, converted from text such as "16m". */
  def get[T](conf: SQLConf, name: String): T = conf.getConf(entries.get(name).asInstanceOf[ConfigEntry[T]])

  private def entry(setting: Language.Setting): ConfigEntry[_] = {
    val key = prefix + setting.name
    val plain = if (setting.static) SQLConf.buildStaticConf(key) else SQLConf.buildConf(key)
    val builder = plain.doc(setting.doc).version(Language.version)
    def create[T](typed: TypedConfigBuilder[T]): ConfigEntry[_] = setting.default match {
      case Some(default) => typed.createWithDefaultString(default)
      case None => typed.createOptional
    }
    setting.kind match {
      case "int" => create(builder.intConf)
      case "bytes" => create(builder.bytesConf(ByteUnit.BYTE))
      case "duration" => create(builder.timeConf(TimeUnit.MILLISECONDS))
      case _ => create(builder.stringConf)
    }
  }
}
