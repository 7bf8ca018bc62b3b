package org.apache.spark.sql.sqlext

import org.antlr.v4.runtime.Token
import org.apache.spark.sql.catalyst.parser.SparkLexer

/** Makes text that was copied from web pages, documents or other databases readable for Spark (Python: sqlext.grammar.pasted). */
object PastedText {

  /**
   * The text with a blank for each space outside strings, names and comments that Spark's lexer does not know, such as a
   * no-break space. Spark's parser refuses such a text, so that no text changes its meaning. Positions stay the same.
   */
  def plainSpaces(text: String): String =
    if (!text.exists(isOdd)) text
    else replaced(text, t => if (SparkLexer.isUnknown(t) && isSpace(t.getText.codePointAt(0))) " " else t.getText)

  /** The text with names in backticks instead of double quotes. */
  def withBackticks(text: String): String =
    replaced(text, t => if (SparkLexer.isDoubleQuoted(t)) backticked(t.getText.drop(1).dropRight(1)) else t.getText)

  private def backticked(name: String) = s"`${name.replace("`", "``")}`"

  /** All that can need a closer look: almost no text has any of these, so that it costs one pass. */
  private def isOdd(c: Char) = c > '~' || (c < ' ' && c != '\n' && c != '\r' && c != '\t')

  private def isSpace(c: Int) =
    Character.isWhitespace(c) || Character.isSpaceChar(c) || c == 0x85 || Language.zeroWidth(c)

  /** The text with each token replaced; what lies between tokens stays. ANTLR counts code points. */
  private def replaced(text: String, by: Token => String): String = {
    val points = text.codePoints().toArray
    val result = new StringBuilder
    var end = 0
    SparkLexer.tokens(text).filterNot(SparkLexer.isEnd).foreach { token =>
      result.append(new String(points, end, token.getStartIndex - end)).append(by(token))
      end = token.getStopIndex + 1
    }
    result.append(new String(points, end, points.length - end)).toString
  }
}
