"""What a recipe may say about how answers are scored. It scores nothing itself."""

from __future__ import annotations

from typing import Literal

from clearhead.settings import Settings


class TranslationScoring(Settings):
    """``bleu_tokenizer`` is sacreBLEU's for BLEU: "zh" for Chinese, "ja-mecab" and "ko-mecab" (which need packages of
    their own), "char" for other languages without spaces, "13a" elsewhere."""

    bleu_tokenizer: Literal["13a", "intl", "zh", "ja-mecab", "ko-mecab", "char", "none"] = "13a"
