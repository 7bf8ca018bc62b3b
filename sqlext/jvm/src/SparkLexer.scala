package org.apache.spark.sql.catalyst.parser

import org.antlr.v4.runtime.{CharStreams, Token}

/** Spark's own lexer, so that comments, white space and case are read as Spark does. UpperCaseCharStream is private[parser]. */
object SparkLexer {

  /** The tokens that a parser would see, read lazily; the last one is EOF. Offsets count code points. */
  def tokens(text: String): Iterator[Token] = {
    val lexer = new SqlBaseLexer(new UpperCaseCharStream(CharStreams.fromString(text)))
    // ANTLR would print what it cannot read to the console. Spark's parser reports it as an error.
    lexer.removeErrorListeners()
    val all = Iterator.continually(lexer.nextToken()).filter(t => t.getChannel == Token.DEFAULT_CHANNEL || isEnd(t))
    var ended = false
    all.takeWhile { t => val more = !ended; ended = isEnd(t); more }
  }

  def isEnd(token: Token): Boolean = token.getType == Token.EOF

  /** A single character that begins no token of Spark. */
  def isUnknown(token: Token): Boolean = token.getType == SqlBaseLexer.UNRECOGNIZED

  def isDoubleQuoted(token: Token): Boolean = token.getType == SqlBaseLexer.DOUBLEQUOTED_STRING
}
