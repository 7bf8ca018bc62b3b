package org.apache.spark.sql.sqlext

import java.util.concurrent.TimeUnit
import javax.net.SocketFactory

import py4j.{Gateway, GatewayServer, PythonClient}

/**
 * A token for Py4J's connections from the JVM to Python. Py4J knows such tokens, but drops the JVM's as soon as PySpark
 * tells it the port, and PySpark gives Python none: any local process could then talk to the callback server.
 */
object CallbackToken {

  /** From now on the JVM presents `token`; Python must already expect it. The client's field has no setter. */
  def set(server: GatewayServer, token: String): Unit = {
    val gateway = server.getGateway
    val client = new PythonClient(gateway, server.getCustomCommands, server.getPythonPort, server.getPythonAddress,
      30, TimeUnit.SECONDS, SocketFactory.getDefault, server, true, 0, token)
    gateway.getCallbackClient.shutdown()
    val field = classOf[Gateway].getDeclaredField("cbClient")
    field.setAccessible(true)
    field.set(gateway, client)
  }
}
