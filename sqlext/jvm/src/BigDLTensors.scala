package org.apache.spark.sql.sqlext

import java.nio.ByteOrder
import java.nio.channels.FileChannel
import java.nio.file.{Paths, StandardOpenOption}
import java.util.{List => JList}

import scala.collection.JavaConverters._

import com.intel.analytics.bigdl.dllib.utils.python.api.JTensor

/** Reads arrays from Python as tensors for BigDL's factory, all arrays of a network in one call. */
object BigDLTensors {

  /** Reads the arrays from a file of little-endian floats, one after the other. `shapes` is like "64,3,7,7;64". */
  def read(file: String, shapes: String): JList[JTensor] = {
    val channel = FileChannel.open(Paths.get(file), StandardOpenOption.READ)
    try {
      var from = 0L
      // The -1 makes split return empty texts, too: the shape of a scalar is empty.
      shapes.split(";", -1).toSeq.map { text =>
        val shape = text.split(",").filter(_.nonEmpty).map(_.toInt)
        val numbers = new Array[Float](shape.product)
        val bytes = channel.map(FileChannel.MapMode.READ_ONLY, from, 4L * numbers.length)
        bytes.order(ByteOrder.LITTLE_ENDIAN).asFloatBuffer().get(numbers)
        from += bytes.capacity
        JTensor(numbers, shape, "float")
      }.asJava
    } finally channel.close()
  }
}
