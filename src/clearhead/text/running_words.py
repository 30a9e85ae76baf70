"""Running text as words: letters and digits in a row, each other sign by itself; a word keeps an apostrophe inside.

Scripts that write no spaces between words (Han, kana, Thai, Lao, Khmer) are taken apart into characters. It is a
plain rule, the same for every language; a tokenizer's pieces are the other way to read text.
"""

from __future__ import annotations

import re

_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff"
_WORD = re.compile(rf"[{_UNSPACED}]|(?:(?![{_UNSPACED}])\w)+(?:['’](?:(?![{_UNSPACED}])\w)+)*|[^\w\s]")


def running_words(text: str) -> list[str]:
    """The words of ``text``, in order.

    >>> running_words("I can't pay £5.50!")
    ['I', "can't", 'pay', '£', '5', '.', '50', '!']
    """
    return _WORD.findall(text)
