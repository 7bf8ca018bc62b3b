package org.apache.spark.sql.catalyst.parser

import org.antlr.v4.runtime.{CharStreams, Token}

/** Spark's own lexer (its character stream is private[parser]): comments, white space and case are Spark's. */
object SparkLexer {

  /** The tokens that a parser would see, read one by one; the last is EOF. Offsets count code points. */
  def tokens(text: String): Iterator[Token] = {
    val lexer = new SqlBaseLexer(new UpperCaseCharStream(CharStreams.fromString(text)))
    lexer.removeErrorListeners()
    val all = Iterator.continually(lexer.nextToken()).filter(t => t.getChannel == Token.DEFAULT_CHANNEL || isEnd(t))
    var ended = false
    all.takeWhile { t => val more = !ended; ended = isEnd(t); more }
  }

  def isEnd(token: Token): Boolean = token.getType == Token.EOF
}
