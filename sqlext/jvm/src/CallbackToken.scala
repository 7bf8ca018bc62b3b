package org.apache.spark.sql.sqlext

import java.util.concurrent.TimeUnit
import javax.net.SocketFactory

import py4j.{Gateway, GatewayServer, PythonClient}

/**
 * An authentication token for Py4J's connections from the JVM to Python. Py4J supports such tokens, but the JVM's is lost when
 * PySpark sets the callback port, and PySpark sets none in Python: any local process could then use the callback server.
 */
object CallbackToken {

  /** Makes the JVM send `token` from now on, which Python must already expect. Reflection, as the field has no setter. */
  def set(server: GatewayServer, token: String): Unit = {
    val gateway = server.getGateway
    val client = new PythonClient(gateway, server.getCustomCommands, server.getPythonPort, server.getPythonAddress,
      // Except for the token, these are the values that Py4J's ClientServer passes by default.
      30, TimeUnit.SECONDS, SocketFactory.getDefault, server, true, 0, token)
    gateway.getCallbackClient.shutdown()
    val field = classOf[Gateway].getDeclaredField("cbClient")
    field.setAccessible(true)
    field.set(gateway, client)
  }
}
