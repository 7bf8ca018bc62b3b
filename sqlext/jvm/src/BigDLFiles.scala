package org.apache.spark.sql.sqlext

import java.io.{ByteArrayOutputStream, DataInputStream, DataOutputStream, OutputStream}
import java.nio.file.{Files, Path, Paths}
import java.security.{DigestOutputStream, MessageDigest}

import scala.collection.JavaConverters._
import scala.collection.mutable

import com.intel.analytics.bigdl.dllib.nn.Module
import com.intel.analytics.bigdl.dllib.nn.abstractnn.{AbstractModule, Activity}
import com.intel.analytics.bigdl.dllib.tensor.TensorNumericMath.TensorNumeric.NumericFloat
import com.intel.analytics.bigdl.serialization.Bigdl.{AttrValue, BigDLModule}
import com.intel.analytics.shaded.protobuf_v_3_25_2.{CodedOutputStream, Message}

/** BigDL modules in local files: a protobuf definition and a file of weights, never Java serialization. */
object BigDLFiles {

  /** The same bytes for the same layer names and weights. BigDL alone reads them: Module.loadModule(definition, weights). */
  def save(module: AbstractModule[Activity, Activity, Float], definition: String, weights: String): Unit = inTemporaryFolder {
    (rawDefinition, rawWeights) =>
      module.evaluate()
      module.saveModule(rawDefinition.toString, rawWeights.toString, true)
      // BigDL names tensors, storages and modules by their address in memory.
      val ids = mutable.LinkedHashMap.empty[Int, Int]
      val plain = renumber(BigDLModule.parseFrom(Files.readAllBytes(rawDefinition)), ids)
      Files.write(Paths.get(definition), deterministicBytes(plain))
      val out = Files.newOutputStream(Paths.get(weights))
      try sortWeights(new DataInputStream(Files.newInputStream(rawWeights)), out, ids) finally out.close()
  }

  /** @throws SqlExtRuntimeException when the definition names anything but layers */
  def load(definition: Array[Byte], weights: Array[Byte]): AbstractModule[Activity, Activity, Float] = {
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

  /** BigDL's loader constructs whatever class a file names: a definition may name network layers alone. */
  def check(definition: Array[Byte], name: String): Unit =
    types(BigDLModule.parseFrom(definition)).find(t => !layers.exists(l => t.startsWith(l))).foreach(t =>
      throw new SqlExtRuntimeException(s"'$name' names class $t, which is not a network layer; nothing was loaded."))

  private def types(message: Message): Seq[String] = (message match {
    case module: BigDLModule => Seq(module.getModuleType)
    case value: AttrValue if value.hasCustomValue => Seq(s"of a custom attribute (${value.getSubType})")
    case _ => Nil
  }) ++ parts(message).flatMap(types)

  private def parts(message: Message): Seq[Message] = message.getAllFields.asScala.values.toSeq.flatMap {
    case one: Message => Seq(one)
    case many: java.util.List[_] => many.asScala.collect { case one: Message => one }
    case _ => Nil
  }

  /** Ids become 1, 2, .. in the order in which they are met; -1 means none. */
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
      // The postfix is the name of a layer that has none.
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

  /** BigDL's file of weights (formats: magic number, count, records, MD5), its records renumbered and in the order of their numbers. */
  private def sortWeights(in: DataInputStream, file: OutputStream, ids: mutable.Map[Int, Int]): Unit = {
    val digest = new DigestOutputStream(file, MessageDigest.getInstance("MD5"))
    val out = new DataOutputStream(digest)
    out.writeInt(in.readInt())
    val count = in.readInt()
    out.writeInt(count)
    val records = Seq.fill(count)(readRecord(in)).sortBy(r => ids(r.id))
    in.close()
    records.foreach { r =>
      out.writeInt(ids(r.id))
      out.writeInt(r.kind)
      out.writeInt(r.length)
      out.write(r.data)
    }
    val sum = digest.getMessageDigest.digest()
    out.writeInt(sum.length)
    out.write(sum)
  }

  private case class Record(id: Int, kind: Int, length: Int, data: Array[Byte])

  private def readRecord(in: DataInputStream): Record = {
    val (id, kind, length) = (in.readInt(), in.readInt(), in.readInt())
    require(kind == 0, s"weights of type $kind, not float")
    val data = new Array[Byte](4 * length)
    in.readFully(data)
    Record(id, kind, length, data)
  }

  private def inTemporaryFolder[T](body: (Path, Path) => T): T = {
    val folder = Files.createTempDirectory("sqlext-bigdl")
    try body(folder.resolve("model.bigdl"), folder.resolve("model.bigdl.weights"))
    finally {
      // Hadoop leaves checksum files beside what BigDL writes.
      folder.toFile.listFiles().foreach(_.delete())
      Files.delete(folder)
    }
  }
}
