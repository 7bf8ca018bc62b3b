package org.apache.spark.sql.sqlext

import java.util.concurrent.atomic.AtomicInteger

import org.apache.spark.sql.SparkSession
import org.apache.spark.sql.internal.SQLConf

/**
 * The scheduler pools of `sqlext serve`, so that no session waits until another one's jobs have ended. Spark never removes a
 * pool, therefore all sessions share a fixed number of them.
 */
object SchedulerPools {
  private val ofThread = "spark.scheduler.pool"
  private val count = 16
  @volatile private var isOn = false
  private val sessions = new AtomicInteger()

  /** From now on sessions get pools, if jobs are scheduled by FAIR. */
  def start(session: SparkSession): Unit = isOn = session.sparkContext.getConf.get("spark.scheduler.mode", "FIFO") == "FAIR"

  /** The pool of a new session. */
  def next(): String = s"session-${sessions.getAndIncrement() % count}"

  /** Puts the statement of this thread into the pool, unless the user has chosen one or it is a part of another statement. */
  def enter(session: SparkSession, pool: => String): Unit =
    if (isOn && !PythonProcess.isMarked(session.sparkContext) && session.sessionState.conf.getConf(SQLConf.THRIFTSERVER_POOL).isEmpty)
      session.sparkContext.setLocalProperty(ofThread, pool)
}
