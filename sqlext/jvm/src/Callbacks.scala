package org.apache.spark.sql.sqlext

import java.util.concurrent.TimeUnit
import javax.net.SocketFactory

import py4j.{Gateway, GatewayServer, PythonClient}

/**
 * Py4J's connections from the JVM to Python, with an authentication token. Py4J supports such tokens, but the JVM's is lost when
 * PySpark sets the callback port, and PySpark sets none in Python: any local process could then use the callback server.
 *
 * Py4J opens a connection for each Java thread that calls Python and keeps it after the thread has ended, with two sockets and
 * a Python thread. Hive starts a thread for almost every statement, so these connections are closed after the call.
 */
class Callbacks(server: GatewayServer, token: String) extends PythonClient(
    server.getGateway, server.getCustomCommands, server.getPythonPort, server.getPythonAddress,
    // Except for the token, these are the values that Py4J's ClientServer passes by default.
    30, TimeUnit.SECONDS, SocketFactory.getDefault, server, true, 0, token) {

  /** Closes the connection that this thread has opened, if any; not one that a thread of Python has opened. */
  def closeOfThread(): Unit = Option(getPerThreadConnection).filter(_.isInitiatedFromClient).foreach { connection =>
    lock.lock()
    try connections.remove(connection) finally lock.unlock()
    threadConnection.remove()
    connection.shutdown()
  }
}

object Callbacks {
  @volatile private var current: Option[Callbacks] = None
  private val depth = ThreadLocal.withInitial[Int](() => 0)

  /** Makes the JVM send `token` from now on, which Python must already expect. Reflection, as the field has no setter. */
  def install(server: GatewayServer, token: String): Unit = {
    val callbacks = new Callbacks(server, token)
    server.getGateway.getCallbackClient.shutdown()
    val field = classOf[Gateway].getDeclaredField("cbClient")
    field.setAccessible(true)
    field.set(server.getGateway, callbacks)
    current = Some(callbacks)
  }

  /** Runs a call of Python. When the outermost call of this thread returns, its connection is closed. */
  def during[T](call: => T): T = {
    val callbacks = current
    depth.set(depth.get + 1)
    try call finally {
      depth.set(depth.get - 1)
      if (depth.get == 0) callbacks.foreach(_.closeOfThread())
    }
  }
}
