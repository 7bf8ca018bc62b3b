package org.apache.spark.sql.sqlext

import java.io.{ByteArrayOutputStream, DataOutputStream}
import java.nio.ByteBuffer
import java.nio.file.{Files, Path, Paths}
import java.security.{DigestOutputStream, MessageDigest}

import scala.collection.JavaConverters._
import scala.collection.mutable

import com.intel.analytics.bigdl.dllib.nn.Module
import com.intel.analytics.bigdl.dllib.nn.abstractnn.{AbstractModule, Activity}
import com.intel.analytics.bigdl.dllib.tensor.TensorNumericMath.TensorNumeric.NumericFloat
import com.intel.analytics.bigdl.dllib.utils.serializer.{BigDLStorage, ModuleData, ModuleSerializer, SerConst, SerializeContext}
import com.intel.analytics.bigdl.serialization.Bigdl.{AttrValue, BigDLModule}
import com.intel.analytics.shaded.protobuf_v_3_25_2.{CodedOutputStream, Message}

/** BigDL modules in local files: a protobuf definition and a file of weights, never Java serialization. */
object BigDLFiles {

  /**
   * Writes the same bytes for the same layer names and weights. BigDL by itself can read them with
   * Module.loadModule(definition, weights).
   */
  def save(module: AbstractModule[Activity, Activity, Float], definition: String, weights: String): Unit = {
    // The definition stores the mode: a module that is saved in training mode is loaded in training mode.
    module.evaluate()
    // The same as module.saveModule, except for the weights, which that method writes number by number.
    val data = ModuleData(module, mutable.ArrayBuffer.empty[String], mutable.ArrayBuffer.empty[String])
    val written = ModuleSerializer.serialize(SerializeContext(data, mutable.HashMap.empty[Int, Any], BigDLStorage))
    // BigDL's ids of tensors, storages and modules are addresses in memory, which differ between two saves.
    val ids = mutable.LinkedHashMap.empty[Int, Int]
    Files.write(Paths.get(definition), deterministicBytes(renumber(written.bigDLModule.build(), ids)))
    val storages = written.storages.toSeq.collect {
      case (id, numbers: Array[Float]) => ids(id) -> numbers
      case (_, other: Array[_]) => throw new IllegalArgumentException(s"weights of ${other.getClass.getComponentType}, not float")
    }
    writeWeights(storages.sortBy(_._1), Paths.get(weights))
  }

  /** @throws SqlExtRuntimeException if the definition names any class other than layers */
  def load(definition: Array[Byte], weights: Array[Byte]): AbstractModule[Activity, Activity, Float] = {
    // The bytes that were checked are the bytes that are loaded. A file of the caller could change in between.
    check(definition, "the module")
    inTemporaryFolder { (definitionFile, weightFile) =>
      Files.write(definitionFile, definition)
      Files.write(weightFile, weights)
      val module = Module.loadModule[Float](definitionFile.toString, weightFile.toString)
      module.evaluate()
      module
    }
  }

  private val layers = Seq("com.intel.analytics.bigdl.dllib.nn.", "com.intel.analytics.bigdl.nn.")

  /** BigDL's loader constructs any class that a file names. Therefore a definition may only name network layers. */
  def check(definition: Array[Byte], name: String): Unit =
    types(BigDLModule.parseFrom(definition)).find(t => !layers.exists(l => t.startsWith(l))).foreach(t =>
      throw new SqlExtRuntimeException(s"'$name' names class $t, which is not a network layer; nothing was loaded."))

  private def types(message: Message): Seq[String] = (message match {
    case module: BigDLModule => Seq(module.getModuleType)
    case value: AttrValue if value.hasCustomValue => Seq(s"of a custom attribute (${value.getSubType})")
    case _ => Nil
  }) ++ parts(message).flatMap(types)

  // Protobuf returns maps, such as the attributes of a module, as lists of entries, so that check() sees them, too.
  private def parts(message: Message): Seq[Message] = message.getAllFields.asScala.values.toSeq.flatMap {
    case one: Message => Seq(one)
    case many: java.util.List[_] => many.asScala.collect { case one: Message => one }
    case _ => Nil
  }

  /** Replaces ids by 1, 2, .. in order of appearance; -1 means no id. */
  private def renumber(message: Message, ids: mutable.Map[Int, Int]): Message = {
    val copy = message.toBuilder
    message.getAllFields.asScala.foreach {
      case (field, one: Message) => copy.setField(field, renumber(one, ids))
      case (field, many: java.util.List[_]) => many.asScala.zipWithIndex.foreach {
        case (one: Message, i) => copy.setRepeatedField(field, i, renumber(one, ids))
        case _ =>
      }
      case (field, id: Integer) if field.getName == "id" && id != -1 => copy.setField(field, ids.getOrElseUpdate(id, ids.size + 1))
      case _ =>
    }
    copy match {
      // The postfix, which is random, is the name of layers without a name; all others do not need it.
      case module: BigDLModule.Builder if module.getName.nonEmpty => module.clearNamePostfix().build()
      case _ => copy.build()
    }
  }

  private def deterministicBytes(message: Message): Array[Byte] = {
    val bytes = new ByteArrayOutputStream(message.getSerializedSize)
    val out = CodedOutputStream.newInstance(bytes)
    out.useDeterministicSerialization()
    message.writeTo(out)
    out.flush()
    bytes.toByteArray
  }

  /** BigDL's file of weights: magic number, count, records (id, type 0 for float, length, numbers), MD5 of all of these. */
  private def writeWeights(storages: Seq[(Int, Array[Float])], file: Path): Unit = {
    val digest = new DigestOutputStream(Files.newOutputStream(file), MessageDigest.getInstance(SerConst.DIGEST_TYPE))
    val out = new DataOutputStream(digest)
    try {
      Seq(SerConst.MAGIC_NO, storages.size).foreach(out.writeInt)
      storages.foreach { case (id, numbers) =>
        Seq(id, 0, numbers.length).foreach(out.writeInt)
        // ByteBuffer's default order, big-endian, is the order of BigDL's file.
        val bytes = ByteBuffer.allocate(4 * numbers.length)
        bytes.asFloatBuffer().put(numbers)
        out.write(bytes.array())
      }
      val sum = digest.getMessageDigest.digest()
      out.writeInt(sum.length)
      out.write(sum)
    } finally out.close()
  }

  private def inTemporaryFolder[T](body: (Path, Path) => T): T = {
    val folder = Files.createTempDirectory("sqlext-bigdl")
    try body(folder.resolve("model.bigdl"), folder.resolve("model.bigdl.weights"))
    finally {
      folder.toFile.listFiles().foreach(_.delete())
      Files.delete(folder)
    }
  }
}
